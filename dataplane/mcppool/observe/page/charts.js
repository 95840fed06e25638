
// ---- charts ----

const WIDE = 600, PANEL = 100;

/** A small line of sixty values without axes; null is a gap. The text beside it has the number. */
function spark(values, { tone = "", high = null } = {}) {
  const top = high ?? Math.max(...values.map((value) => value ?? 0), 1e-9);
  return draw("svg", { class: `spark ${tone}`.trim(), viewBox: "0 0 60 16", preserveAspectRatio: "none", "aria-hidden": "true" }, draw("path", { d: line(values, top, 60, 15, 0.5), "vector-effect": "non-scaling-stroke" }));
}

/** The path of values over a width and a height. */
function line(values, top, width, height, offset = 0) {
  const step = width / values.length;
  let path = "", pen = "M";
  values.forEach((value, at) => {
    if (value == null) pen = "M";
    else {
      path += `${pen}${((at + 0.5) * step).toFixed(1)} ${(offset + height * (1 - Math.min(1, value / top))).toFixed(1)}`;
      pen = "L";
      if (values[at + 1] == null) path += "h.1"; // a value between two gaps is a dot
    }
  });
  return path || "M0 0";
}

/** The states of an endpoint over ten minutes, as a strip. */
function strip(states) {
  const runs = [];
  states.forEach((name, at) => {
    if (runs.at(-1)?.name === name) runs.at(-1).length += 1;
    else runs.push({ name, at, length: 1 });
  });
  return draw("svg", { class: "strip", viewBox: "0 0 60 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    runs.filter(({ name }) => name != null).map(({ name, at, length }) => draw("rect", { class: TONES[name] ?? "bad", x: at, y: 0, width: length, height: 4 })));
}

/** A round number at or above `value`, so that a chart's scale is calm and readable. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999) ?? value;
}

/** A panel: a drawing that fills its width, with the labels of its scale beside it, each at a share of its height. */
function panel(kind, labels, ...children) {
  const at = (share) => `${((1 - share) * 100).toFixed(1)}%`;
  const grid = labels.map(([share]) => draw("line", { class: "grid", x1: 0, x2: WIDE, y1: PANEL * (1 - share), y2: PANEL * (1 - share) }));
  const drawing = draw("svg", { viewBox: `0 0 ${WIDE} ${PANEL}`, preserveAspectRatio: "none", "aria-hidden": "true" }, grid, ...children);
  return make("div", { class: `panel ${kind}`, "aria-hidden": "true" }, labels.map(([share, text]) => placed(make("span", null, text), at(share))), drawing);
}

function placed(element, top) {
  element.style.top = top;
  return element;
}

/** The chart of a pool: calls a second with the failed ones, and below how long half and 99 % of the tool calls took. */
function chart(pool) {
  const { series } = pool;
  const calls = perSecond(series.calls), failed = perSecond(series.failed);
  const top = ceiling(Math.max(...calls.map((value) => value ?? 0), 0.1));
  const step = WIDE / SLOTS;
  const bars = calls.flatMap((value, at) => {
    if (!value) return [];
    const bar = (kind, height) => draw("rect", { class: kind, x: (at * step + 1).toFixed(1), y: (PANEL - height).toFixed(1), width: (step - 2).toFixed(1), height: height.toFixed(1) });
    return [bar("calls", PANEL * value / top), failed[at] ? bar("failed", Math.max(PANEL * failed[at] / top, 1.5)) : null];
  });
  // Times differ by orders of magnitude: their scale is logarithmic.
  const times = [...series.p50, ...series.p99].filter((value) => value != null);
  const low = Math.floor(Math.log10(Math.min(...times, 1)) + 1e-9), high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...times, 1e-3)) - 1e-9));
  const height = (value) => (value == null ? null : (Math.log10(value) - low) / (high - low));
  const powers = Array.from({ length: high - low + 1 }, (_, at) => [at / (high - low), round(10 ** (low + at))]);
  const end = past.newest == null ? 0 : (past.newest + 1) * 10;
  const time = (ago) => make("span", null, new Date((end - ago * 60) * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" }));
  const slots = calls.map((_, at) => draw("rect", { class: "slot", x: (at * step).toFixed(1), y: 0, width: step.toFixed(1), height: PANEL }, draw("title", null, slotInWords(pool, at, end))));
  return make(
    "div", { class: "chart", role: "img", "aria-label": inWords(pool) },
    make("div", { class: "legend", "aria-hidden": "true" },
      make("span", { class: "key calls" }, "calls a second"), make("span", { class: "key failed" }, "failed"),
      make("span", { class: "key p50" }, "half within"), make("span", { class: "key p99" }, "99 % within")),
    panel("rates", [[1, rate(top)], [0, "0"]], bars, slots),
    panel("times", powers,
      draw("path", { class: "p99", d: line(series.p99.map(height), 1, WIDE, PANEL) }),
      draw("path", { class: "p50", d: line(series.p50.map(height), 1, WIDE, PANEL) }), slots.map((slot) => slot.cloneNode(true))),
    make("div", { class: "axis", "aria-hidden": "true" }, [10, 8, 6, 4, 2, 0].map(time)),
  );
}

function slotInWords({ series }, at, end) {
  const from = new Date((end - (SLOTS - at) * 10) * 1000).toLocaleTimeString("en-GB");
  const calls = past.seconds[at] ? series.calls[at] / past.seconds[at] : null;
  if (calls == null) return `${from}: the gateway did not run`;
  return `${from}: ${rate(calls)} calls a second, ${number(series.failed[at])} of ${number(series.calls[at])} failed, half within ${seconds(series.p50[at])}, 99 % within ${seconds(series.p99[at])}`;
}

function inWords({ summary }) {
  return `In the last ${past.covered < 90 ? `${Math.round(past.covered)} s` : `${Math.round(past.covered / 60)} minutes`}: ${plural(summary.calls, "call")}, ${number(summary.failed)} failed; half of the tool calls within ${seconds(summary.p50)}, 99 % within ${seconds(summary.p99)}.`;
}
