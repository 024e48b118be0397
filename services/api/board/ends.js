// How many orders ended in which way in each of the last minutes: bars, and a legend with the sums.
import { h, number, s, setAttribute, setText, words } from "./dom.js";
import { ENDS } from "./history.js";

const HEIGHT = 100;
// Of a minute's width.
const BAR = 0.72;

/** The card of ends. */
export function ends() {
  const most = h("span");
  const svg = s("svg", { role: "img", preserveAspectRatio: "none" });
  const legend = h("ul", { class: "legend" });
  const sums = ENDS.map((end) => {
    const sum = h("b", {}, "0");
    legend.append(h("li", { "data-state": end }, sum, " ", words(end)));
    return sum;
  });
  const empty = h("p", { class: "empty" }, "Loading");
  const chart = h(
    "div",
    { hidden: true },
    h("div", { class: "chart" }, svg),
    h("div", { class: "axis" }, h("span", {}, "15 min ago"), most, h("span", {}, "now")),
    legend,
  );
  const rate = h("span", { class: "count" });
  const node = h(
    "section",
    { class: "card", "aria-labelledby": "ends-title" },
    h("header", {}, h("h2", { id: "ends-title" }, "Ends of 15 minutes"), rate),
    empty,
    chart,
  );
  return {
    node,
    /** @param {{minute: string, ends: Record<string, number>}[] | null} minutes @param {string} [failure] */
    show(minutes, failure) {
      chart.hidden = minutes === null;
      empty.hidden = minutes !== null;
      if (minutes === null) {
        setText(empty, failure ?? "");
        setText(rate, "");
        return;
      }
      const totals = minutes.map((minute) => total(minute.ends));
      const tallest = Math.max(1, ...totals);
      setText(most, `the most: ${number(tallest)} a minute`);
      setText(rate, number(totals.reduce((sum, count) => sum + count, 0)));
      draw(svg, minutes, tallest);
      const words_ = ENDS.map((end, index) => {
        const sum = minutes.reduce((all, minute) => all + (minute.ends[end] ?? 0), 0);
        setText(sums[index], number(sum));
        return `${sum} ${words(end)}`;
      });
      setAttribute(svg, "aria-label", `The last ${minutes.length} minutes: ${words_.join(", ")}`);
    },
  };
}

/** @param {Record<string, number>} counts */
const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);

/**
 * Draws a bar for each minute, its ends above each other; the parts are made once.
 * @param {SVGSVGElement} svg
 * @param {{minute: string, ends: Record<string, number>}[]} minutes
 * @param {number} tallest
 */
function draw(svg, minutes, tallest) {
  setAttribute(svg, "viewBox", `0 0 ${minutes.length} ${HEIGHT}`);
  while (svg.childElementCount < minutes.length) {
    const x = svg.childElementCount + (1 - BAR) / 2;
    const bar = ENDS.map((end) => s("rect", { x, width: BAR, "data-state": end }));
    svg.append(s("g", {}, s("title"), ...bar));
  }
  minutes.forEach(({ minute, ends: counts }, index) => {
    const [title, ...bar] = svg.children[index].children;
    let y = HEIGHT;
    ENDS.forEach((end, part) => {
      const height = (HEIGHT * (counts[end] ?? 0)) / tallest;
      y -= height;
      setAttribute(bar[part], "y", y);
      setAttribute(bar[part], "height", height);
    });
    const at = new Date(minute).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
    const parts = ENDS.filter((end) => counts[end]).map((end) => `${counts[end]} ${words(end)}`);
    setText(title, `${at}: ${parts.join(", ") || "none"}`);
  });
}
