"use strict";

// Fetches status.json once a second while the page is visible, and draws it. Data from outside (addresses, faults) only ever
// becomes text. A new drawing is compared with the present one, so that focus, selection and scrolling stay.

const PERIOD = 1000, PATIENCE = 5000; // milliseconds: between two looks, and for an answer
const TONES = {
  healthy: "good", degraded: "fair", unhealthy: "bad",
  available: "good", busy: "fair", joining: "fair", draining: "fair", ejected: "bad", unreachable: "bad", hung: "bad",
  closed: "good", half_open: "fair", open: "bad",
};
const COMPONENTS = { connection_pool: "Connections", balancer: "Balancing", breakers: "Breakers", cache: "Cache", configuration: "Configuration", metrics: "Metrics" };

const $ = (id) => document.getElementById(id);

// ---- making elements ----

/** An element with these attributes (`share` is a bar's length, 0 to 1) and children; a string is text, null is nothing. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "share") element.style.setProperty("--share", Math.max(0, Math.min(1, value)).toFixed(3));
    else if (value != null) element.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child != null) element.append(child);
  return element;
}

/** Make `old` equal to `fresh`, keeping the elements that are there. */
function update(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (name !== "style" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
  updateChildren(old, [...fresh.childNodes]);
}

function updateChildren(parent, fresh) {
  const keyed = new Map([...parent.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]));
  let at = parent.firstChild;
  for (const next of fresh) {
    const key = next.dataset?.key;
    const same = key ? keyed.get(key) : at?.nodeName === next.nodeName && !at.dataset?.key ? at : undefined;
    if (!same || same.nodeName !== next.nodeName) {
      parent.insertBefore(next, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else parent.insertBefore(same, at);
    update(same, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

// ---- words and numbers ----

const number = (value) => value.toLocaleString("en");
const percent = (value) => (value == null ? "–" : `${Math.round(value * 100)} %`);
const rate = (value) => (value === 0 ? "0" : value < 10 ? value.toFixed(1) : number(Math.round(value)));
const seconds = (value) => (value == null ? "–" : value < 0.01 ? `${(value * 1000).toFixed(1)} ms` : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`);
const words = (name) => name.replaceAll("_", " ");
const clock = (at) => make("time", { datetime: at, title: new Date(at).toLocaleString() }, new Date(at).toLocaleTimeString("en-GB"));
const state = (name) => make("span", { class: `state ${TONES[name] ?? "bad"}` }, words(name));
const bar = (share) => make("span", { class: "bar", share, "aria-hidden": "true" });
const bytes = (value) => (value < 1024 ? `${value} B` : value < 1048576 ? `${(value / 1024).toFixed(1)} KiB` : `${(value / 1048576).toFixed(1)} MiB`);

// ---- parts of the page ----

/** A table; `columns` are [heading, class of its cells]. Roles are said, since narrow screens lay rows out as sheets. */
function table(caption, columns, rows, kind = "") {
  return make(
    "table", { class: kind || null, role: "table" },
    make("caption", null, caption),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, columns.map(([heading, type]) => make("th", { scope: "col", role: "columnheader", class: type }, heading)))),
    make("tbody", { role: "rowgroup" }, rows.map(({ key, cells }) => make("tr", { role: "row", "data-key": key }, cells.map((cell, index) => {
      const content = Array.isArray(cell) ? cell : [String(cell)];
      const [heading, type] = columns[index];
      return index === 0
        ? make("th", { scope: "row", role: "rowheader", class: type, "data-label": heading }, ...content)
        : make("td", { role: "cell", class: type, "data-label": heading }, content.length === 1 ? content : make("div", null, ...content));
    })))),
  );
}

const part = (title, content) => (typeof content === "string" ? make("div", null, make("h3", null, title), make("p", { class: "none" }, content)) : content);

function components(health) {
  return make("dl", { class: "components" }, Object.entries(health.components).map(([name, { status, message }]) =>
    make("div", { "data-key": name }, make("dt", { class: `state ${TONES[status]}` }, COMPONENTS[name] ?? words(name), make("span", { class: "unseen" }, `: ${status}`)), make("dd", null, message))));
}

function endpointRow(endpoint) {
  const about = [endpoint.zone && `zone ${endpoint.zone}`, endpoint.weight !== 100 && `weight ${endpoint.weight}`, endpoint.priority && `priority ${endpoint.priority}`].filter(Boolean).join(", ");
  const connections = Object.entries(endpoint.connections).filter(([, count]) => count).map(([name, count]) => `${number(count)} ${name}`).join(", ");
  return {
    key: endpoint.key,
    cells: [
      [endpoint.url, about && make("small", null, about)].filter(Boolean),
      [state(endpoint.state), endpoint.reason && make("small", null, endpoint.reason)].filter(Boolean),
      [endpoint.score.toFixed(2), bar(endpoint.score)],
      seconds(endpoint.latency),
      [percent(endpoint.share), bar(endpoint.share ?? 0)],
      number(endpoint.inFlight),
      connections || "none",
      [number(endpoint.attempts), endpoint.failures ? make("small", null, `${number(endpoint.failures)} failed`) : null].filter(Boolean),
    ],
  };
}

function endpoints(pool) {
  const columns = [["Endpoint", "address"], ["State"], ["Score", "number"], ["Latency", "number"], ["Share of calls", "number"], ["In flight", "number"], ["Connections"], ["Calls", "number"]];
  if (!pool.endpoints.length) return make("p", { class: "none" }, "The pool has no endpoints yet.");
  const seen = new Map(); // an address that comes back while it still drains occurs twice
  const rows = pool.endpoints.map((endpoint) => {
    const times = seen.get(endpoint.url) ?? 0;
    seen.set(endpoint.url, times + 1);
    return endpointRow({ ...endpoint, key: `${endpoint.url} ${times}` });
  });
  return table("Endpoints", columns, rows, "sheets");
}

function figures(pool) {
  const available = pool.endpoints.filter((endpoint) => endpoint.state === "available").length;
  const lines = [
    ["Calls a second", rate(pool.callsPerSecond)],
    ["Endpoints available", number(available), ` of ${number(pool.endpoints.length)}`],
    ["Sessions", number(pool.sessions)],
    ["Waiting for a connection", number(pool.waiting)],
    ["Tools in the catalog", number(pool.catalogTools)],
    ["Answered from the cache", pool.cache ? percent(pool.cache.hitRate) : "off"],
  ];
  return make("dl", { class: "figures" }, lines.map(([name, value, rest]) => make("div", null, make("dt", null, name), make("dd", null, value, rest ? make("small", null, rest) : null))));
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
  const rows = pool.breakers.map((line) => ({ key: `${line.tool} ${line.endpoint}`, cells: [line.tool, [make("span", { class: "address" }, line.endpoint)], [state(line.state)]] }));
  return part("Breakers", rows.length ? table("Breakers", [["Tool"], ["Endpoint"], ["State"]], rows) : "All are closed.");
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

function poolSection(pool, notReady) {
  const id = `pool-${pool.name}`;
  return make(
    "section", { class: "pool", "aria-labelledby": id, "data-key": id },
    make("div", { class: "pool-head" }, make("h2", { id }, pool.name), make("p", { class: "quiet" }, `balanced by ${words(pool.strategy)}, ${pool.authentication === "none" ? "accepts every client" : `clients show ${words(pool.authentication)}`}`)),
    notReady ? make("p", { class: "notice fair" }, `Not ready: ${notReady}`) : null,
    pool.panic ? make("p", { class: "notice fair" }, "Few endpoints are healthy, so every reachable one takes calls.") : null,
    ...pool.warnings.map((sentence) => make("p", { class: "notice fair" }, `${sentence}.`)),
    figures(pool),
    endpoints(pool),
    make(
      "div", { class: "details" },
      events(pool), learned(pool),
      counts("Requests", "Ended in", pool.outcomes, "No request has ended yet."),
      counts("Retries", "After", pool.hedges ? { ...pool.retries, "slowness (hedged)": pool.hedges } : pool.retries, "No call was repeated."),
      cache(pool), breakers(pool),
    ),
  );
}

function nothing() {
  return make(
    "section", { class: "pool prose", "aria-labelledby": "no-pool", "data-key": "no-pool" },
    make("h2", { id: "no-pool" }, "No pool is configured yet"),
    make("p", null, "Add one to the configuration file; the gateway takes it as soon as you save the file:"),
    make("pre", null, '[[pools]]\nname = "search"\nendpoints = ["http://127.0.0.1:8001/mcp", "http://127.0.0.1:8002/mcp"]'),
    make("p", null, "Or name the servers when you start the gateway:"),
    make("pre", null, "mcppool serve http://127.0.0.1:8001/mcp http://127.0.0.1:8002/mcp"),
  );
}

function configuration(config) {
  const refused = config.rejected;
  return make(
    "section", { "aria-labelledby": "configuration", "data-key": "configuration", class: "prose" },
    make("h2", { id: "configuration" }, "Configuration"),
    config.hash
      ? make("p", null, "In force since ", clock(config.loadedAt), config.generation ? `, generation ${config.generation}` : "", ": ", make("code", null, config.hash))
      : make("p", null, "No configuration is in force yet."),
    refused
      ? make("div", { class: "notice" }, make("p", null, "The gateway refused the newest configuration at ", clock(refused.at), ". The one before it stays in force."), make("ul", null, refused.problems.map((problem) => make("li", null, make("code", null, problem)))))
      : make("p", { class: "quiet" }, "The gateway has refused no newer configuration."),
  );
}

// ---- the whole ----

let last = null;

function show(feed) {
  const { overall } = feed.health;
  const sections = feed.pools.map((pool) => poolSection(pool, feed.notReady[pool.name]));
  updateChildren($("main"), [components(feed.health), ...(sections.length ? sections : [nothing()]), configuration(feed.config)]);
  update($("overall"), make("p", { id: "overall", class: `state ${TONES[overall]}` }, overall));
  update($("fresh"), make("p", { id: "fresh" }, "Updated ", clock(feed.at)));
  update($("about"), make("p", { id: "about" }, `mcppool ${feed.version}, up since ${new Date(feed.startedAt).toLocaleString("en-GB")}`));
  document.title = `${overall} · mcppool`;
  announce(feed);
  last = feed;
}

/** Say what changed to those who listen rather than look. */
function announce(feed) {
  if (!last) return;
  const states = (from) => new Map(from.pools.flatMap((pool) => pool.endpoints.map((endpoint) => [`${endpoint.url} of ${pool.name}`, endpoint.state])));
  const before = states(last);
  const changes = [...states(feed)].filter(([name, now]) => before.has(name) && before.get(name) !== now).map(([name, now]) => `${name} is ${now}`);
  if (feed.health.overall !== last.health.overall) changes.push(`overall ${feed.health.overall}`);
  if (changes.length) $("announcement").textContent = changes.slice(0, 5).join("; ");
}

function reached(why) {
  document.body.classList.toggle("stale", why != null);
  const lost = $("lost");
  if (why == null) lost.hidden = true;
  else if (lost.hidden) {
    lost.textContent = `The gateway does not answer (${why}). The page shows its last answer.`;
    lost.hidden = false;
  }
}

let timer = 0, busy = false, paused = false;

async function look() {
  clearTimeout(timer);
  if (busy || paused || document.hidden) return;
  busy = true;
  try {
    const response = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    show(await response.json());
    reached(null);
  } catch (error) {
    reached(error.message);
  }
  busy = false;
  timer = setTimeout(look, PERIOD);
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  look();
});
document.addEventListener("visibilitychange", look);
look();
