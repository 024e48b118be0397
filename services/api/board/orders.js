// The tables of open orders and of those that have just ended.
import { duration, h, money, number, reconcile, setAttribute, setText, time, words } from "./dom.js";

/** @typedef {import("./model.js").Order} Order */
/** @typedef {import("./model.js").Ended} Ended */
/** @typedef {import("./model.js").Orders} Orders */

const MOST_ROWS = 100;

/** @param {string} id */
const link = (id) => h("a", { href: `#/orders/${encodeURIComponent(id)}` }, id);

/** The table of open orders. */
export function openOrders() {
  const count = h("span", { class: "count" });
  const pipeline = h("ol", { class: "pipeline", "aria-label": "Open orders by state" });
  const rows = h("tbody");
  const empty = h("p", { class: "empty" }, "Loading");
  const more = h("p", { class: "more", hidden: true });
  const table = h(
    "table",
    { hidden: true },
    h("caption", { class: "hidden" }, "Open orders, those first whose time ends first"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "Order"),
        h("th", { scope: "col", class: "at" }, "State"),
        h("th", { scope: "col", class: "number tries" }, "Attempts"),
        h("th", { scope: "col", class: "number wide" }, "Amount"),
        h("th", { scope: "col", class: "left" }, "Time left"),
      ),
    ),
    rows,
  );
  const node = h(
    "section",
    { class: "card open", "aria-labelledby": "open-title" },
    h("header", {}, h("h2", { id: "open-title" }, "Open orders"), count),
    pipeline,
    empty,
    table,
    more,
  );
  /** @type {Order[]} */
  let shown = [];
  /** @type {{deadline: number, forward: number}} */
  let times = { deadline: 15, forward: 12 };

  return {
    node,
    /** @param {Orders} orders @param {number} now */
    show(orders, now) {
      shown = orders.first(MOST_ROWS);
      times = orders;
      setText(count, number(orders.total));
      reconcile(pipeline, Object.entries(orders.byState), ([state]) => state, stage, showStage);
      reconcile(rows, shown, (order) => order.id, makeRow, showRow);
      table.hidden = shown.length === 0;
      empty.hidden = shown.length > 0;
      setText(empty, "No order is open.");
      more.hidden = orders.total <= shown.length;
      setText(more, `${number(orders.total - shown.length)} more, whose time ends later`);
      this.tick(now);
    },
    /** Shows the times left. @param {number} now */
    tick(now) {
      shown.forEach((order, index) => showLeft(rows.children[index], order.ends - now, times));
    },
    /** @param {string | undefined} failure why the orders are not known now */
    explain(failure) {
      setAttribute(node, "data-failed", Boolean(failure));
      if (failure) {
        empty.hidden = false;
        setText(empty, failure);
      } else if (shown.length) empty.hidden = true;
    },
  };
}

/** @param {Order} order */
function makeRow(order) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, link(order.id)),
    h("td", {}, h("span", { class: "state" })),
    h("td", { class: "number" }),
    h("td", { class: "number wide" }, order.amount && money(order.amount, order.currency)),
    h(
      "td",
      { class: "left" },
      h("span", { class: "meter", "aria-hidden": "true" }, h("i")),
      h("span", { class: "seconds" }),
      h("span", { class: "word" }),
    ),
  );
}

/** @param {HTMLTableRowElement} row @param {Order} order */
function showRow(row, order) {
  const [, state, attempts, amount] = row.cells;
  showState(/** @type {HTMLElement} */ (state.firstChild), order.state);
  setText(attempts, order.attempts);
  setAttribute(attempts, "data-many", order.attempts > 1);
  if (order.amount) setText(amount, money(order.amount, order.currency));
}

/**
 * Shows a time left: in seconds, as a bar, and near its end in a word.
 * @param {Element} row
 * @param {number} milliseconds
 * @param {{deadline: number, forward: number}} times
 */
function showLeft(row, milliseconds, { deadline, forward }) {
  const cell = /** @type {HTMLElement} */ (row.lastElementChild);
  const [meter, seconds, word] = /** @type {HTMLElement[]} */ ([...cell.children]);
  const left = milliseconds / 1000;
  const closing = deadline - forward;
  const level = left <= 0 ? "overdue" : left <= closing ? "ending" : left <= 2 * closing ? "soon" : "";
  setAttribute(cell, "data-level", level);
  const share = `scaleX(${(Math.min(Math.max(left, 0), deadline) / deadline).toFixed(2)})`;
  const { style } = /** @type {HTMLElement} */ (meter.firstChild);
  // What does not change is not painted again.
  if (style.transform !== share) style.transform = share;
  setText(seconds, `${left > 0 ? Math.ceil(left) : Math.floor(left)} s`);
  setText(word, level);
}

/** @param {HTMLElement} node @param {string} state */
function showState(node, state) {
  setAttribute(node, "data-state", state);
  setText(node, words(state));
}

/** The table of the orders that have ended last. */
export function latestEnds() {
  const rows = h("tbody");
  const empty = h("p", { class: "empty" }, "Loading");
  const table = h(
    "table",
    { hidden: true },
    h("caption", { class: "hidden" }, "The orders that have ended last"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "Order"),
        h("th", { scope: "col" }, "End"),
        h("th", { scope: "col", class: "number" }, "Took"),
        h("th", { scope: "col", class: "number" }, "At"),
      ),
    ),
    rows,
  );
  const title = h("header", {}, h("h2", { id: "ended-title" }, "Just ended"));
  const node = h("section", { class: "card", "aria-labelledby": "ended-title" }, title, empty, table);
  return {
    node,
    /** @param {Ended[]} ended */
    show(ended) {
      reconcile(rows, ended, ({ id }) => id, makeEnd, (row, order) => {
        setText(row.cells[2], order.took === null ? "" : duration(order.took));
      });
      table.hidden = ended.length === 0;
      empty.hidden = ended.length > 0;
      setText(empty, "No order has ended yet.");
    },
  };
}

/** @param {Ended} order */
function makeEnd(order) {
  const state = h("span", { class: "state" });
  showState(state, order.state);
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, link(order.id)),
    h("td", {}, state),
    h("td", { class: "number" }),
    h("td", { class: "number" }, time(new Date(order.at))),
  );
}

/** @param {[string, number]} item */
function stage([state]) {
  return h("li", { "data-state": state }, h("b", {}), h("span", {}, words(state)));
}

/** @param {HTMLElement} node @param {[string, number]} item */
function showStage(node, [, count]) {
  setText(/** @type {Node} */ (node.firstChild), count);
  setAttribute(node, "data-none", count === 0);
}
