
// ---- what is wrong ----

const RECENT = 60; // seconds after which a loss is over
const SAID_BY_POOLS = ["connection_pool", "balancer", "breakers"]; // components whose trouble the pools tell in detail

const link = (pool, name, text) => make("a", { href: `#${encodeURIComponent(pool)}${name == null ? "" : `/${encodeURIComponent(name)}`}` }, text);

/** What is wrong now, the worst first: `{tone, key, text, from}`. */
function problems(feed) {
  const found = [];
  const add = (tone, key, text, from) => found.push({ tone, key, text, from });
  const now = new Date(feed.at);
  for (const [name, { status, message }] of Object.entries(feed.health.components)) {
    if (status === "healthy" || (SAID_BY_POOLS.includes(name) && feed.pools.length)) continue;
    const pool = name.startsWith("pool ") ? name.slice(5) : null;
    add(TONES[status], `component ${name}`, [pool == null ? make("b", null, words(name)) : link(pool, null, pool), `: ${message}`], feed.healthSince[name]);
  }
  for (const pool of feed.pools) {
    for (const loss of pool.lost) {
      if ((now - new Date(loss.last)) / 1000 > RECENT) continue;
      add("bad", `loss ${pool.name} ${loss.reason}`, [
        link(pool.name, null, pool.name), `: ${plural(loss.count, "call")} lost, `, make("b", null, words(loss.reason)), `; the last one: `,
        link(pool.name, loss.name, loss.name || "a message"), loss.endpoint ? ` at ${loss.endpoint}` : "",
      ], loss.since);
    }
    const ill = pool.endpoints.filter(({ state: name }) => TONES[name] === "bad");
    for (const endpoint of ill.slice(0, 3)) {
      add("bad", `endpoint ${pool.name} ${endpoint.url}`, [link(pool.name, endpoint.url, endpoint.url), ` is ${words(endpoint.state)}`, endpoint.reason ? `: ${endpoint.reason}` : ""], endpoint.since);
    }
    if (ill.length > 3) add("bad", `endpoints ${pool.name}`, [link(pool.name, null, pool.name), `: ${plural(ill.length - 3, "more endpoint takes", "more endpoints take")} no calls`], null);
    const open = new Set(pool.breakers.filter((line) => line.state === "open").map((line) => line.tool));
    for (const tool of [...open].slice(0, 3)) add("bad", `breaker ${pool.name} ${tool}`, ["the breaker of ", link(pool.name, tool, tool), ` of ${pool.name} is open`], null);
    if (open.size > 3) add("bad", `breakers ${pool.name}`, [link(pool.name, null, pool.name), `: ${plural(open.size - 3, "more breaker is", "more breakers are")} open`], null);
    if (pool.panic) add("fair", `panic ${pool.name}`, [link(pool.name, null, pool.name), ": few endpoints are healthy, so every reachable one takes calls"], null);
  }
  const rank = { bad: 0, fair: 1, good: 2 };
  return found.sort((a, b) => rank[a.tone] - rank[b.tone]);
}

function headline(found) {
  const wrong = found[0].tone === "bad";
  if (found.length === 1) return wrong ? "One thing is wrong" : "One thing needs a look";
  return `${number(found.length)} things ${wrong ? "are wrong" : "need a look"}`;
}

function verdict(feed) {
  const found = problems(feed);
  const times = Object.values(feed.healthSince).filter(Boolean).sort();
  return make(
    "section", { class: `verdict ${found[0]?.tone ?? "good"}`, "aria-labelledby": "verdict", "data-key": "verdict" },
    make("h2", { id: "verdict" }, found.length ? headline(found) : feed.pools.length ? "All is well" : "Nothing to serve yet"),
    found.length
      ? make("ul", null, found.map(({ tone, key, text, from }) => make("li", { "data-key": key }, make("span", { class: `state ${tone}`, "aria-hidden": "true" }), make("span", null, text), make("small", null, since(from, feed.at)))))
      : make("p", { class: "quiet" }, times.length ? since(times.at(-1), feed.at) : ""),
  );
}
