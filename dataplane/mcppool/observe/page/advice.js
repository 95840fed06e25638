
// ---- advice ----

const ADVISED_EVERY = 6; // slots

let advised = [], advisedAt = -ADVISED_EVERY;

/** Remember the advice of the gateway, at most once a minute. */
async function advise(slot) {
  if (slot - advisedAt < ADVISED_EVERY) return;
  advisedAt = slot;
  advised = (await ask("advice.json")).advice;
}

function suggestion({ pool, changes, why, figures, expect, check }) {
  return make(
    "details", { class: "change", "data-key": `${pool} ${changes[0].key}`, "data-keep": "open" },
    make("summary", null, `${pool}: `, make("span", { class: "quiet" }, why)),
    make("ul", { class: "diff" }, changes.map(({ key, now, proposed }) => make("li", null, make("code", null, key),
      now == null ? null : make("del", null, make("span", { class: "unseen" }, "now: "), String(now)),
      proposed == null ? null : make("ins", null, make("span", { class: "unseen" }, "proposed: "), String(proposed))))),
    make("p", { class: "quiet" }, Object.entries(figures).map(([name, value]) => `${name}: ${value}`).join(" · ")),
    make("p", null, `Expected: ${expect}`),
    check ? make("p", null, `First ask: ${check}`) : null,
  );
}

/** What to change in the configuration; nothing without advice. */
function advice() {
  if (!advised.length) return null;
  return make("section", { "aria-labelledby": "advice", "data-key": "advice", class: "configuration" }, make("h2", { id: "advice" }, "Advice"), advised.map(suggestion));
}
