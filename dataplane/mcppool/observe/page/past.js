
// ---- the last ten minutes ----

const SLOTS = 60;
const past = { newest: null, pools: new Map(), configurations: [], covered: 0 };

/** The query for what is new since the last answer. */
const unseen = () => (past.newest == null ? "history.json" : `history.json?after=${past.newest}`);

/** Take an answer; returns false if slots are missing in between, so that the whole must be asked for. */
function remember(answer) {
  const known = past.newest;
  past.configurations = answer.configurations;
  past.covered = answer.covered;
  if (answer.newest == null || answer.first == null) return answer.newest === known;
  if (known != null && answer.first !== known + 1) {
    past.newest = null;
    return false;
  }
  const before = known == null ? new Map() : past.pools;
  past.pools = new Map(answer.pools.map((pool) => [pool.name, joined(before.get(pool.name), pool)]));
  past.seconds = (known == null ? [] : past.seconds).concat(answer.seconds).slice(-SLOTS);
  past.newest = answer.newest;
  return true;
}

function joined(before, pool) {
  const rows = (name, key) => {
    const known = new Map((before?.[name] ?? []).map((row) => [row[key], row]));
    return pool[name].map((row) => ({ ...row, series: appended(known.get(row[key])?.series, row.series) }));
  };
  return { ...pool, series: appended(before?.series, pool.series), tools: rows("tools", "name"), endpoints: rows("endpoints", "url") };
}

function appended(before, series) {
  return Object.fromEntries(Object.entries(series).map(([name, values]) => {
    const empty = ["p50", "p99", "state", "latency"].includes(name) ? null : 0;
    const all = (before?.[name] ?? Array(SLOTS).fill(empty)).concat(values).slice(-SLOTS);
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
