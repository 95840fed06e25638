
// ---- tables, filters, values to copy ----

const SHOWN = 12; // rows of a long table before all of them are asked for
const opened = new Set(), filters = new Map(); // what the reader of the page has chosen, by table
let marked = null; // the row of the address bar: `#pool/tool`

/** A table; `columns` are [heading, class of its cells]. Roles are said, since narrow screens lay rows out as sheets. */
function table(caption, columns, rows, kind = "") {
  return make(
    "table", { class: kind || null, role: "table" },
    make("caption", null, caption),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, columns.map(([heading, type]) => make("th", { scope: "col", role: "columnheader", class: type }, heading)))),
    make("tbody", { role: "rowgroup" }, rows.map(({ key, cells, anchor }) => make("tr", { role: "row", "data-key": key, "data-anchor": anchor, class: anchor && anchor === marked ? "marked" : null }, cells.map((cell, index) => {
      const content = Array.isArray(cell) ? cell : [String(cell)];
      const [heading, type] = columns[index];
      return index === 0
        ? make("th", { scope: "row", role: "rowheader", class: type, "data-label": heading }, ...content)
        : make("td", { role: "cell", class: type, "data-label": heading }, content.length === 1 ? content : make("div", null, ...content));
    })))),
  );
}

/**
 * A table that may be long: it begins with `SHOWN` rows, and can be filtered. `items` come in the order of their weight;
 * `text` is what the filter looks at, `row` makes a row. Only rows that are shown are made.
 */
function longTable({ id, name, columns, items, text, row, anchor = () => null }) {
  const wanted = (filters.get(id) ?? "").toLowerCase();
  const found = wanted ? items.filter((item) => text(item).toLowerCase().includes(wanted)) : items;
  const all = opened.has(id) || found.length <= SHOWN + 3;
  let shown = all ? found : found.slice(0, SHOWN);
  const target = marked == null ? undefined : found.find((item) => anchor(item) === marked);
  if (target && !shown.includes(target)) shown = [...shown, target];
  const count = found.length === items.length ? number(items.length) : `${number(found.length)} of ${number(items.length)}`;
  return make(
    "div", { class: "wide", "data-key": id },
    items.length > SHOWN
      ? make("p", { class: "filter" },
        make("label", null, make("span", { class: "unseen" }, `Filter ${name}`), make("input", { type: "search", "data-filter": id, placeholder: `Filter ${name}`, autocomplete: "off", spellcheck: "false" })),
        make("span", { class: "quiet" }, count))
      : null,
    table(`${name[0].toUpperCase()}${name.slice(1)}`, columns, shown.map(row), "sheets"),
    found.length ? null : make("p", { class: "none" }, "None has this in its name, state or cause."),
    found.length > SHOWN + 3 ? make("button", { type: "button", class: "more", "data-open": id, "aria-expanded": String(all) }, all ? `Show the first ${SHOWN}` : `Show all ${number(found.length)}`) : null,
  );
}

const part = (title, content) => (typeof content === "string" ? make("div", null, make("h3", null, title), make("p", { class: "none" }, content)) : content);

/** A value that a click copies. */
const copyable = (text, shown = text) => make("button", { type: "button", class: "copy", "data-copy": text, title: `Copy ${text}` }, shown);

const bar = (share, expected = null) => make("span", { class: expected == null ? "bar" : "bar with-expected", share, expected, "aria-hidden": "true" });

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // a page without TLS from another machine has no clipboard
    const area = make("textarea", { class: "unseen", "aria-hidden": "true", tabindex: "-1" });
    area.value = text;
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    focused?.focus();
  }
  $("announcement").textContent = `Copied ${text}`;
  const toast = $("toast");
  toast.textContent = `Copied ${text}`;
  toast.hidden = false;
  clearTimeout(copy.timer);
  copy.timer = setTimeout(() => { toast.hidden = true; }, 2000);
}
