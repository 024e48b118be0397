// Which orders are refused: the limit of the API process that answers, and its tenants.
import { duration, h, number, reconcile, setAttribute, setText } from "./dom.js";

const REASONS = ["busy", "share", "rate", "away"];

/** The card of admission. */
export function admission() {
  const summary = h("p", { class: "summary" }, "Loading");
  const rows = h("tbody");
  const table = h(
    "table",
    { hidden: true },
    h("caption", { class: "hidden" }, "Orders accepted and refused, by tenant"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "Tenant"),
        h("th", { scope: "col", class: "number" }, "Waiting"),
        h("th", { scope: "col", class: "number" }, "Accepted"),
        ...REASONS.map((reason) => h("th", { scope: "col", class: "number" }, reason)),
      ),
    ),
    rows,
  );
  const count = h("span", { class: "count" });
  const node = h(
    "section",
    { class: "card", "aria-labelledby": "admission-title" },
    h("header", {}, h("h2", { id: "admission-title" }, "Orders refused"), count),
    summary,
    table,
  );
  return {
    node,
    /** @param {any} view @param {string} process */
    show(view, process) {
      table.hidden = false;
      const refused = view.tenants.reduce((/** @type {number} */ sum, /** @type {any} */ tenant) => sum + all(tenant), 0);
      setText(count, number(refused));
      setText(summary, describe(view, process));
      setAttribute(summary, "data-level", view.away ? "overdue" : "");
      reconcile(rows, view.tenants, (/** @type {any} */ { tenant }) => tenant, makeTenant, showTenant);
    },
  };
}

/** @param {any} tenant @returns {number} */
const all = ({ refused }) => REASONS.reduce((sum, reason) => sum + (refused[reason] ?? 0), 0);

/** @param {any} view @param {string} process */
function describe(view, process) {
  if (view.away) return `Every order is refused: ${view.away}`;
  if (!view.on) return "Admission is off: every order is accepted.";
  const wait = view.standing_wait_seconds ? `, for ${duration(view.standing_wait_seconds)}` : "";
  return `${view.waiting} wait${wait}; ${Math.floor(view.limit)} may. By ${process} since its start.`;
}

/** @param {any} view */
function makeTenant({ tenant }) {
  const name = tenant === "(none)" ? "without a key" : tenant;
  const numbers = ["waiting", "accepted", ...REASONS].map(() => h("td", { class: "number" }));
  return h("tr", {}, h("th", { scope: "row" }, name), ...numbers);
}

/** @param {HTMLTableRowElement} row @param {any} view */
function showTenant(row, { waiting, accepted, refused }) {
  const numbers = [waiting, accepted, ...REASONS.map((reason) => refused[reason] ?? 0)];
  numbers.forEach((count, index) => setText(row.cells[index + 1], number(count)));
}
