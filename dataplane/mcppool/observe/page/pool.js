
// ---- one pool ----

const ILL = { bad: 0, fair: 1, good: 2 };

function figures(pool, before) {
  const available = pool.endpoints.filter((endpoint) => endpoint.state === "available").length;
  const series = before?.series;
  const minute = series ? lastMinute(series) : null;
  const shares = series?.calls.map((calls, at) => (calls ? series.failed[at] / calls : 0));
  const eras = before?.summary.eras;
  const asked = eras ? eras.modern + eras.legacy : 0;
  const lines = [
    ["Calls a second", rate(pool.callsPerSecond), null, series && spark(perSecond(series.calls))],
    ["Failed, last minute", minute ? percent(minute.share) : "–", minute?.failed ? ` ${plural(minute.failed, "call")}` : null, shares && spark(shares, { tone: Math.max(...shares) ? "bad" : "quiet", high: Math.max(0.05, ...shares) })],
    ["Half within", series ? seconds(latest(series.p50)) : "–", null, series && spark(series.p50)],
    ["99 % within", series ? seconds(latest(series.p99)) : "–", null, series && spark(series.p99)],
    ["Endpoints available", number(available), ` of ${number(pool.endpoints.length)}`],
    ["In flight", number(sum(pool.endpoints.map((endpoint) => endpoint.inFlight))), pool.waiting ? `, ${number(pool.waiting)} waiting` : null],
    ["Sessions", number(pool.sessions)],
    ["From the cache", pool.cache ? percent(pool.cache.hitRate) : "off"],
    ["Modern clients", asked ? percent(eras.modern / asked) : "–", asked && eras.legacy ? ` ${percent(eras.legacy / asked)} legacy` : null],
    ["Tools in the catalog", number(pool.catalogTools)],
  ];
  return make("dl", { class: "figures" }, lines.map(([name, value, rest, line]) => make("div", null, make("dt", null, name), make("dd", null, value, rest ? make("small", null, rest) : null, line || null))));
}

function endpoints(pool, before, feed) {
  if (!pool.endpoints.length) return make("p", { class: "none" }, "The pool has no endpoints yet.");
  const columns = [["Endpoint", "address"], ["State"], ["Ten minutes"], ["Latency", "number"], ["Share of calls", "number"], ["Score", "number"], ["In flight", "number"], ["Calls", "number"]];
  const series = new Map((before?.endpoints ?? []).map((endpoint) => [endpoint.url, endpoint.series]));
  const seen = new Map(); // an address that comes back while it still drains occurs twice
  const widest = Math.max(...pool.endpoints.map(({ share, expectedShare }) => Math.max(share ?? 0, expectedShare ?? 0)), 0.001);
  const items = pool.endpoints.map((endpoint) => {
    const times = seen.get(endpoint.url) ?? 0;
    seen.set(endpoint.url, times + 1);
    return { ...endpoint, key: `${endpoint.url} ${times}` };
  }).sort((a, b) => ILL[TONES[a.state] ?? "bad"] - ILL[TONES[b.state] ?? "bad"]);
  return longTable({
    id: `${pool.name} endpoints`, name: "endpoints", columns, items,
    text: (endpoint) => [endpoint.url, endpoint.state, endpoint.reason, endpoint.zone].join(" "),
    anchor: (endpoint) => `${pool.name}/${endpoint.url}`,
    row: (endpoint) => endpointRow(pool, endpoint, series.get(endpoint.url), feed, widest),
  });
}

/** `widest` is the largest share, whose bar is full. */
function endpointRow(pool, endpoint, series, feed, widest) {
  const own = feed.zone != null && endpoint.zone === feed.zone;
  const about = [endpoint.zone && `zone ${endpoint.zone}${own ? " (own)" : ""}`, endpoint.weight !== 100 && `weight ${endpoint.weight}`, endpoint.priority && `priority ${endpoint.priority}`].filter(Boolean).join(", ");
  const connections = Object.entries(endpoint.connections).filter(([, count]) => count).map(([name, count]) => `${number(count)} ${name}`).join(", ");
  const ill = TONES[endpoint.state] !== "good";
  const expected = endpoint.expectedShare;
  const apart = expected != null && endpoint.share != null && Math.abs(endpoint.share - expected) > 0.015;
  return {
    key: endpoint.key, anchor: `${pool.name}/${endpoint.url}`,
    cells: [
      [copyable(endpoint.url), about && make("small", null, about)].filter(Boolean),
      [state(endpoint.state), endpoint.reason && make("small", null, endpoint.reason), ill && endpoint.since ? make("small", null, since(endpoint.since, feed.at)) : null].filter(Boolean),
      [series ? make("div", { class: "history" }, spark(perSecond(series.attempts)), strip(series.state)) : "–"],
      seconds(endpoint.latency),
      [percent(endpoint.share), bar((endpoint.share ?? 0) / widest, expected == null ? null : expected / widest), apart ? make("small", null, `expected ${percent(expected)}`) : null].filter(Boolean),
      [endpoint.score.toFixed(2), bar(endpoint.score)],
      [number(endpoint.inFlight), connections ? make("small", null, connections) : null].filter(Boolean),
      [short(endpoint.attempts), endpoint.failures ? make("small", null, `${short(endpoint.failures)} failed`) : null].filter(Boolean),
    ],
  };
}

function tools(pool, before) {
  const columns = [["Tool", "address"], ["Calls", "number"], ["Ten minutes"], ["Failed", "number"], ["Reasons", "reasons"], ["Half within", "number"], ["99 % within", "number"], ["Retries", "number"], ["From the cache", "number"], ["Breaker"]];
  const failed = ({ summary }) => summary.errors + summary.rejected;
  const breaker = ({ series }) => series.breaker.at(-1) ?? 0;
  const items = [...(before?.tools ?? [])].sort((a, b) => breaker(b) - breaker(a) || failed(b) - failed(a) || b.summary.toolCalls - a.summary.toolCalls);
  if (!items.length) return part("Tools", before ? "No tool was called in the last ten minutes." : "The first figures come within ten seconds.");
  return longTable({
    id: `${pool.name} tools`, name: "tools", columns, items,
    text: (tool) => [tool.name, ...Object.keys(tool.summary.reasons).map(words)].join(" "),
    anchor: (tool) => `${pool.name}/${tool.name}`,
    row: (tool) => toolRow(pool, tool, failed(tool), BREAKERS[breaker(tool)]),
  });
}

function toolRow(pool, { name, summary, series }, failed, breaker) {
  const reasons = Object.entries(summary.reasons).sort(([, a], [, b]) => b - a).map(([reason, count]) => `${short(count)} ${words(reason)}`);
  if (summary.toolErrors) reasons.push(`${short(summary.toolErrors)} tool ${summary.toolErrors === 1 ? "error" : "errors"}`);
  const cached = summary.cacheHits + summary.cacheMisses;
  return {
    key: name, anchor: `${pool.name}/${name}`,
    cells: [
      [link(pool.name, name, name), name === "other" ? make("small", null, "tools without a row") : null].filter(Boolean),
      short(summary.toolCalls),
      [spark(perSecond(series.calls)), failed ? spark(perSecond(series.failed), { tone: "bad", high: Math.max(...perSecond(series.calls), 1e-9) }) : null].filter(Boolean),
      failed ? percent(failed / summary.toolCalls) : "0", reasons.join(", ") || "–",
      seconds(summary.p50), seconds(summary.p99), short(summary.retries),
      cached ? percent(summary.cacheHits / cached) : "–",
      [state(breaker)],
    ],
  };
}

function lost(pool, feed) {
  if (!pool.lost.length) return make("div", { class: "wide" }, part("Lost calls", "Every call got the answer of a server."));
  const columns = [["Reason"], ["Calls", "number"], ["Since"], ["Last"], ["Tool or method", "address"], ["Endpoint", "address"], ["Cause"]];
  const rows = pool.lost.map((loss) => ({
    key: loss.reason,
    cells: [
      words(loss.reason), [short(loss.count), loss.total > loss.count ? make("small", null, `${short(loss.total)} since start`) : null].filter(Boolean),
      [clock(loss.since), make("small", null, `${lasted(loss.since, feed.at)} ago`)], [clock(loss.last), make("small", null, `${lasted(loss.last, feed.at)} ago`)],
      loss.name ? [link(pool.name, loss.name, loss.name)] : "–", loss.endpoint ? [copyable(loss.endpoint)] : "none", loss.detail || "–",
    ],
  }));
  return make("div", { class: "wide" }, table("Lost calls", columns, rows, "sheets"));
}

const counts = (title, heading, values, none) => {
  const entries = Object.entries(values).sort(([, a], [, b]) => b - a);
  return part(title, entries.length ? table(title, [[heading], ["Count", "number"]], entries.map(([name, count]) => ({ key: name, cells: [words(name), number(count)] }))) : none);
};

function events(pool) {
  const columns = [["Last at"], ["Endpoint", "address"], ["What"], ["Detail"], ["Times", "number"]];
  const rows = pool.events.map((event) => ({
    key: `${event.endpoint} ${event.reason} ${event.detail}`,
    cells: [[clock(event.at)], event.endpoint, words(event.reason), event.detail || "–", number(event.count)],
  }));
  return make("div", { class: "wide" }, part("Recent faults and recoveries", rows.length ? table("Recent faults and recoveries", columns, rows, "sheets") : "Nothing has gone wrong."));
}

function breakers(pool) {
  const rows = pool.breakers.map((line) => ({ key: `${line.tool} ${line.endpoint}`, cells: [[link(pool.name, line.tool, line.tool)], [copyable(line.endpoint)], [state(line.state)]] }));
  if (!rows.length) return part("Breakers", "All are closed.");
  return make("div", { class: "wide" }, table("Breakers that are not closed", [["Tool", "address"], ["Endpoint", "address"], ["State"]], rows, "sheets"));
}

function cache({ cache: found }) {
  if (!found) return part("Cache", "Switched off.");
  const lines = [["Hits", number(found.hits)], ["Misses", number(found.misses)], ["Shared with an equal call", number(found.coalesced)], ["Expired, because no server answered", number(found.stale)]];
  if (found.entries != null) lines.push(["Answers kept", `${number(found.entries)}, ${bytes(found.bytes)}`]);
  if (found.trouble) lines.push(["Trouble", found.trouble]);
  return table(`Cache in ${found.type}`, [["What"], ["Count", found.trouble ? null : "number"]], lines.map(([name, value]) => ({ key: name, cells: [name, value] })));
}

function learned(pool) {
  if (!pool.learned) return null;
  const rows = pool.learned.map((line) => ({
    key: `${line.name} ${line.errorClass} ${line.attempt} ${line.wait}`,
    cells: [
      line.name, words(line.errorClass),
      line.attempt != null ? `attempt ${line.attempt}` : `waiting up to ${seconds(line.wait)}`,
      `${percent(line.rate)} of ${Math.max(1, Math.round(line.trials))}`,
      line.attempt != null ? (line.used ? "made" : "left out") : line.used ? "preferred" : "not preferred",
    ],
  }));
  const title = "What adaptive retry has learned";
  return make("div", { class: "wide" }, part(title, rows.length ? table(title, [["Call"], ["After"], ["Step"], ["Helped", "number"], ["Decision"]], rows, "sheets") : "Nothing yet."));
}

function poolSection(pool, feed) {
  const id = `pool-${pool.name}`, before = past.pools.get(pool.name);
  const health = feed.health.components[`pool ${pool.name}`], notReady = feed.notReady[pool.name];
  return make(
    "section", { class: "pool", "aria-labelledby": id, "data-key": id, "data-anchor": pool.name, tabindex: "-1" },
    make("div", { class: "pool-head" },
      make("h2", { id }, link(pool.name, null, pool.name)),
      health ? make("p", null, state(health.status), make("small", { class: "quiet" }, " ", since(feed.healthSince[`pool ${pool.name}`], feed.at))) : null,
      make("p", { class: "quiet" }, `balanced by ${words(pool.strategy)}, ${pool.authentication === "none" ? "accepts every client" : `clients show ${words(pool.authentication)}`}`)),
    notReady ? make("p", { class: "notice fair" }, `Not ready: ${notReady}`) : null,
    pool.panic ? make("p", { class: "notice fair" }, "Few endpoints are healthy, so every reachable one takes calls.") : null,
    ...pool.warnings.map((sentence) => make("p", { class: "notice fair" }, `${sentence}.`)),
    figures(pool, before),
    before ? chart(before) : make("p", { class: "none chart" }, "The first figures come within ten seconds."),
    make(
      "div", { class: "details" },
      endpoints(pool, before, feed), tools(pool, before), lost(pool, feed),
      events(pool), learned(pool),
      counts("Requests", "Ended in", pool.outcomes, "No request has ended yet."),
      counts("Retries", "After", pool.hedges ? { ...pool.retries, "slowness (hedged)": pool.hedges } : pool.retries, "No call was repeated."),
      cache(pool), breakers(pool),
    ),
  );
}
