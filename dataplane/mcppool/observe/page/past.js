
// ---- the last ten minutes ----

const SLOTS = 60;
const past = { newest: null, pools: new Map(), configurations: [], covered: 0 };

const WHOLE = "history.json?gateways=all";

/** The query for what is new since the last answer. The newest known slot comes again: a gateway may have been late. */
const unseen = () => (past.newest == null ? WHOLE : `${WHOLE}&after=${past.newest - 1}`);

/** Take an answer; returns false if slots are missing in between, so that the whole must be asked for. */
function remember(answer) {
  const known = past.newest;
  past.configurations = answer.configurations;
  past.covered = answer.covered;
  if (answer.newest == null || answer.first == null) return answer.newest === known;
  const again = known == null ? 0 : known - answer.first + 1; // slots that are known
  if (again < 0 || again > SLOTS) {
    past.newest = null;
    return false;
  }
  const before = known == null ? new Map() : past.pools;
  past.pools = new Map(answer.pools.map((pool) => [pool.name, joined(before.get(pool.name), pool, again)]));
  past.seconds = (known == null ? [] : past.seconds.slice(0, past.seconds.length - again)).concat(answer.seconds).slice(-SLOTS);
  past.newest = answer.newest;
  return true;
}

function joined(before, pool, again) {
  const rows = (name, key) => {
    const known = new Map((before?.[name] ?? []).map((row) => [row[key], row]));
    return pool[name].map((row) => ({ ...row, series: appended(known.get(row[key])?.series, row.series, again) }));
  };
  return { ...pool, series: appended(before?.series, pool.series, again), tools: rows("tools", "name"), endpoints: rows("endpoints", "url") };
}

function appended(before, series, again) {
  return Object.fromEntries(Object.entries(series).map(([name, values]) => {
    const empty = ["p50", "p99", "state", "latency"].includes(name) ? null : 0;
    const all = (before?.[name] ?? Array(SLOTS).fill(empty)).slice(0, SLOTS - again).concat(values).slice(-SLOTS);
    return [name, Array(SLOTS - all.length).fill(empty).concat(all)];
  }));
}

/** Values per second: slots in which the gateway did not run are null. */
const perSecond = (values) => values.map((value, at) => (past.seconds?.[at] ? value / past.seconds[at] : null));

/** The share of failed calls in the last minute, null without calls. */
function lastMinute(series) {
  const calls = sum(series.calls.slice(-6)), failed = sum(series.failed.slice(-6));
  return { calls, failed, share: calls ? failed / calls : null };
}

const latest = (values) => values.slice(-6).findLast((value) => value != null) ?? null;
