
// ---- the whole ----

// Fetches status.json once a second while the page is visible, and what is new of history.json once a slot, and draws both.

const PERIOD = 1000, PATIENCE = 5000; // milliseconds: between two looks, and for an answer
const COMPONENTS = { connection_pool: "Connections", balancer: "Balancing", breakers: "Breakers", cache: "Cache", configuration: "Configuration", metrics: "Metrics", memory: "Memory", redis: "Redis", workers: "Processes" };

let last = null;

function components(health) {
  return make(
    "details", { class: "all", "data-key": "components", "data-keep": "open" },
    make("summary", null, "All components"),
    make("dl", { class: "components" }, Object.entries(health.components).map(([name, { status, message }]) =>
      make("div", { "data-key": name }, make("dt", { class: `state ${TONES[status]}` }, COMPONENTS[name] ?? words(name), make("span", { class: "unseen" }, `: ${status}`)), make("dd", null, message)))),
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

/** The gateways that the page shows together; nothing if it is one. */
function gateways({ gateways: lines, at }) {
  if (!(lines?.length > 1)) return null;
  const columns = [["Gateway", "address"], ["State"], ["Zone"], ["Calls a second", "number"], ["Up for", "number"], ["Configuration", "address"]];
  const rows = lines.map((line) => ({
    key: line.address,
    cells: line.answers
      ? [[copyable(line.address)], [state(line.overall)], line.zone ?? "–", rate(line.callsPerSecond), lasted(line.startedAt, at), line.hash ? [copyable(line.hash, line.hash.slice(0, 19))] : "none"]
      : [[copyable(line.address)], [make("span", { class: "state bad" }, "silent"), make("small", null, line.why)], "–", "–", "–", "–"],
  }));
  return make("section", { "aria-label": "Gateways", "data-key": "gateways" }, table("Gateways", columns, rows, "sheets"));
}

function change({ at, hash, generation, problems: refusals, settings, more }) {
  const what = refusals.length ? "refused" : settings.length ? plural(settings.length + more, "setting") + " changed" : "no setting changed";
  return make(
    "details", { class: "change", "data-key": `${at} ${hash}`, "data-keep": "open" },
    make("summary", null, clock(at), " ", make("span", { class: refusals.length ? "state bad" : "quiet" }, what), generation ? make("span", { class: "quiet" }, `, generation ${generation}`) : null),
    make("ul", { class: "diff" },
      refusals.map((problem) => make("li", null, make("code", null, problem))),
      settings.map(({ path, before, after }) => make("li", null, make("code", null, path),
        before == null ? null : make("del", null, make("span", { class: "unseen" }, "before: "), before),
        after == null ? null : make("ins", null, make("span", { class: "unseen" }, "now: "), after))),
      more ? make("li", { class: "quiet" }, `and ${number(more)} more`) : null,
      hash ? make("li", { class: "quiet" }, copyable(hash)) : null),
  );
}

function configuration(config) {
  const refused = config.rejected;
  const changes = past.configurations.slice(0, -1).concat(past.configurations.slice(-1).filter((line) => line.problems.length));
  return make(
    "section", { "aria-labelledby": "configuration", "data-key": "configuration", class: "configuration" },
    make("h2", { id: "configuration" }, "Configuration"),
    config.hash
      ? make("p", null, "In force since ", clock(config.loadedAt), config.generation ? `, generation ${config.generation}` : "", ": ", copyable(config.hash))
      : make("p", null, "No configuration is in force yet."),
    refused
      ? make("div", { class: "notice" }, make("p", null, "The gateway refused the newest configuration at ", clock(refused.at), ". The one before it stays in force."), make("ul", null, refused.problems.map((problem) => make("li", null, make("code", null, problem)))))
      : make("p", { class: "quiet" }, "The gateway has refused no newer configuration."),
    changes.length ? make("div", { class: "changes" }, make("h3", null, "Changes"), changes.map(change)) : null,
  );
}

function show(feed) {
  const { overall } = feed.health;
  const order = { unhealthy: 0, degraded: 1, healthy: 2 };
  const rank = (pool) => order[feed.health.components[`pool ${pool.name}`]?.status] ?? 1;
  const sections = [...feed.pools].sort((a, b) => rank(a) - rank(b)).map((pool) => poolSection(pool, feed));
  updateChildren($("main"), [verdict(feed), ...(sections.length ? sections : [nothing()]), gateways(feed), advice(), configuration(feed.config), components(feed.health)].filter(Boolean));
  update($("overall"), make("p", { id: "overall", class: `state ${TONES[overall]}` }, overall));
  update($("fresh"), make("p", { id: "fresh" }, "Updated ", clock(feed.at)));
  update($("about"), make("p", { id: "about" }, `mcppool ${feed.version} (${feed.build}), up since ${new Date(feed.startedAt).toLocaleString("en-GB")}`, feed.zone ? `, in zone ${feed.zone}` : ""));
  document.title = `${overall} · mcppool`;
  announce(feed);
  const first = last == null;
  last = feed;
  if (first) reveal();
  else if (!$("absent").hidden) missing();
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
  const notice = $("lost");
  if (why == null) notice.hidden = true;
  else if (notice.hidden) {
    notice.textContent = `The gateway does not answer (${why}). The page shows its last answer.`;
    notice.hidden = false;
  }
}

let timer = 0, busy = false, paused = false, due = 0;

async function ask(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return response.json();
}

async function look() {
  clearTimeout(timer);
  if (busy || paused || document.hidden) return;
  busy = true;
  try {
    const feed = await ask("status.json?gateways=all");
    const slot = Math.floor((new Date(feed.at) - 1000) / 10000); // a slot is there a moment after its end
    if (slot !== due) {
      if (!remember(await ask(unseen()))) remember(await ask(WHOLE));
      await advise(slot).catch(() => {}); // a page of another version has no advice
      due = slot;
    }
    show(feed);
    reached(null);
  } catch (error) {
    reached(error.message);
  }
  busy = false;
  timer = setTimeout(look, PERIOD);
}

/** Show what the address bar names: `#pool`, or `#pool/tool` and `#pool/endpoint`. */
function reveal() {
  const [pool, name] = named();
  $("absent").hidden = true;
  if (!pool) return;
  marked = name ? `${pool}/${name}` : null;
  if (marked) for (const kind of ["endpoints", "tools"]) filters.delete(`${pool} ${kind}`);
  for (const input of document.querySelectorAll("[data-filter]")) if (!filters.has(input.dataset.filter)) input.value = "";
  if (last) show(last);
  const found = anchored(marked ?? pool);
  if (last && pool !== "main") missing();
  found?.scrollIntoView({ block: marked ? "center" : "start" });
  (found?.querySelector("a, button") ?? found)?.focus({ preventScroll: true });
}

const anchored = (name) => [...document.querySelectorAll("[data-anchor]")].find((element) => element.dataset.anchor === name);

/** The pool in the address bar, and the tool or endpoint if there is one. */
function named() {
  const [pool, ...name] = location.hash.slice(1).split("/").map(decoded);
  return [pool, name.join("/")];
}

/** Say so if the page has nothing of the name in the address bar: a link may be older than the present pools and calls. */
function missing() {
  const notice = $("absent"), [pool, name] = named();
  const text = !anchored(pool)
    ? `There is no pool ${pool} now.`
    : `Pool ${pool} has no endpoint ${name} now, and no tool of this name was called in the last ten minutes.`;
  notice.hidden = Boolean(anchored(marked ?? pool));
  if (notice.textContent !== text) notice.textContent = text;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  look();
});
$("main").addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy], [data-open]");
  if (button?.dataset.copy != null) copy(button.dataset.copy);
  else if (button != null) {
    if (!opened.delete(button.dataset.open)) opened.add(button.dataset.open);
    show(last);
  }
});
$("main").addEventListener("input", (event) => {
  if (event.target.dataset.filter == null) return;
  filters.set(event.target.dataset.filter, event.target.value);
  show(last);
});
window.addEventListener("hashchange", reveal);
document.addEventListener("visibilitychange", look);
look();
