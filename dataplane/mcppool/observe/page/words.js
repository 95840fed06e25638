
// ---- words and numbers ----

const TONES = {
  failing: "bad", healthy: "good", degraded: "fair", unhealthy: "bad",
  available: "good", busy: "fair", joining: "fair", draining: "fair", ejected: "bad", unreachable: "bad", hung: "bad",
  closed: "good", half_open: "fair", open: "bad",
};
const BREAKERS = ["closed", "half_open", "open"];

const number = (value) => value.toLocaleString("en");
const short = (value) => (value < 10000 ? number(value) : value < 1e6 ? `${Math.round(value / 1e3)} k` : `${(value / 1e6).toFixed(1)} M`);
const percent = (value) => (value == null ? "–" : value > 0 && value < 0.0095 ? `${(value * 100).toFixed(1)} %` : `${Math.round(value * 100)} %`);
const rate = (value) => (value === 0 ? "0" : value < 10 ? value.toFixed(1) : number(Math.round(value)));
const seconds = (value) => (value == null ? "–" : value < 0.01 ? `${(value * 1000).toFixed(1)} ms` : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`);
const round = (value) => (value >= 1 ? `${number(value)} s` : value >= 0.001 ? `${number(Math.round(value * 1000))} ms` : `${number(Math.round(value * 1e6))} µs`);
const words = (name) => name.replaceAll("_", " ");
const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
const hour = (at) => new Date(at).toLocaleTimeString("en-GB");
const clock = (at) => make("time", { datetime: at, title: new Date(at).toLocaleString() }, hour(at));
const state = (name) => make("span", { class: `state ${TONES[name] ?? "bad"}` }, words(name));
const bytes = (value) => (value < 1024 ? `${value} B` : value < 1048576 ? `${(value / 1024).toFixed(1)} KiB` : `${(value / 1048576).toFixed(1)} MiB`);
const sum = (values) => values.reduce((whole, value) => whole + value, 0);

/** A time that has passed, roughly: people read "12 min" sooner than two times of day. */
function lasted(from, to) {
  const passed = Math.max(0, (new Date(to) - new Date(from)) / 1000);
  if (passed < 90) return `${Math.round(passed)} s`;
  if (passed < 5400) return `${Math.round(passed / 60)} min`;
  if (passed < 129600) return `${Math.round(passed / 3600)} h`;
  return `${Math.round(passed / 86400)} days`;
}

/** "since 21:58:03, 12 min". */
const since = (from, now) => (from == null ? [] : ["since ", clock(from), `, ${lasted(from, now)}`]);
