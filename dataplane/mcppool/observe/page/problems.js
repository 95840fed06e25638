
// ---- what is wrong ----

const link = (pool, name, text) => make("a", { href: `#${encodeURIComponent(pool)}${name == null ? "" : `/${encodeURIComponent(name)}`}` }, text);

/** One problem: where, and what. */
function problem({ severity, pool, name, what, since: from }, now) {
  const where = pool == null ? make("b", null, COMPONENTS[name] ?? words(name)) : link(pool, name, name ?? pool);
  const of = pool != null && name != null && !name.includes("://") ? ` of ${pool}` : "";
  return make(
    "li", { "data-key": `${pool} ${name} ${what.replace(/\d+/g, "")}` },
    make("span", { class: `state ${TONES[severity]}`, "aria-hidden": "true" }), make("span", null, where, `${of}: ${what}`), make("small", null, since(from, now)),
  );
}

function headline(found) {
  const wrong = found[0].severity === "failing";
  if (found.length === 1) return wrong ? "One thing is wrong" : "One thing needs a look";
  return `${number(found.length)} things ${wrong ? "are wrong" : "need a look"}`;
}

function verdict(feed) {
  const found = feed.problems;
  const times = Object.values(feed.healthSince).filter(Boolean).sort();
  return make(
    "section", { class: `verdict ${found.length ? TONES[found[0].severity] : "good"}`, "aria-labelledby": "verdict", "data-key": "verdict" },
    make("h2", { id: "verdict" }, found.length ? headline(found) : feed.pools.length ? "All is well" : "Nothing to serve yet"),
    found.length
      ? make("ul", null, found.map((line) => problem(line, feed.at)))
      : make("p", { class: "quiet" }, times.length ? since(times.at(-1), feed.at) : ""),
  );
}
