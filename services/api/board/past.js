/**
 * An order's past: a slider over its audit log, and its money with the gateway's answers.
 *
 * @typedef {import("./history.js").AuditEvent} AuditEvent
 */
import { duration, h, money as sum, reconcile, setAttribute, setText, words } from "./dom.js";
import { addressAt, at, money } from "./history.js";
import { secondsTo } from "./timeline.js";

const HELD = /** @type {Record<string, (amount: string) => string>} */ ({
  pending: () => "unknown: requested, the answer is not on record",
  captured: (amount) => amount,
  voided: () => "nothing",
  refunded: () => "nothing",
});

/**
 * Shows the slider: the order's state, row and money after each event.
 *
 * @param {Element} root
 * @param {() => void} onChosen called when another event is chosen
 */
export function makePast(root, onChosen) {
  const slider = h("input", {
    id: "order-moment",
    type: "range",
    min: 0,
    step: 1,
    oninput: () => choose(Number(slider.value)),
  });
  const label = h("label", { for: "order-moment" }, "Event");
  const row = h("dl", { class: "row" });
  const log = h("ol", { class: "log", "aria-label": "Audit log" });
  root.append(h("div", { class: "slider" }, label, slider), row, log);
  /** @type {any} */
  let order = null;
  // Follows the newest event until somebody goes back.
  let index = -1;
  let newest = true;

  /** @param {number} next */
  function choose(next) {
    index = next;
    newest = index === order.events.length - 1;
    draw();
    onChosen();
  }

  function draw() {
    const { events } = order;
    const event = events[index];
    setAttribute(slider, "max", events.length - 1);
    slider.value = String(index);
    slider.disabled = events.length < 2;
    const moment = at(events, index);
    const before = at(events, index - 1);
    setAttribute(slider, "aria-valuetext", `${inWords(events, event)}; order ${words(moment.state)}`);
    setText(label, `After event ${index + 1} of ${events.length}`);
    const address = (/** @type {typeof moment} */ m) => m.state && inLine(addressAt(order, m));
    const amount = sum(order.amount, order.currency);
    const rows = /** @type {[string, string, boolean][]} */ ([
      ["Event", inWords(events, event), false],
      ["State", words(moment.state), moment.state !== before.state],
      ["Payment", moment.payment ?? "no row", moment.payment !== before.payment],
      ["Money held", held(moment.payment, amount), moment.payment !== before.payment],
      ["Address", address(moment), Boolean(before.state) && address(moment) !== address(before)],
      ["Payload", payload(event), false],
    ]);
    row.replaceChildren(
      ...rows.map(([name, value, changed]) =>
        h(
          "div",
          { class: changed ? "changed" : "" },
          h("dt", {}, name),
          h("dd", {}, value, changed && h("span", { class: "tag" }, "changed")),
        ),
      ),
    );
    reconcile(log, events, ({ number }) => String(number), entry, (node, { number }) => {
      setAttribute(node.firstElementChild, "aria-current", number === event.number && "true");
    });
  }

  /** @param {AuditEvent} event */
  function entry(event) {
    const at = order.events.indexOf(event);
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", onclick: () => choose(at) },
        h("span", { class: "log-number" }, event.number, " "),
        h("span", {}, words(event.type), " "),
        h("span", { class: "at" }, offset(order.events, event)),
      ),
    );
  }

  return {
    /** @param {any} next */
    update(next) {
      order = next;
      if (!order.events.length) return;
      if (newest) index = order.events.length - 1;
      draw();
    },
    /** @returns {AuditEvent | null} the chosen event, null while the slider is at the newest */
    chosen: () => (order && !newest ? order.events[index] : null),
  };
}

/**
 * Shows what the gateway was asked for and what it answered.
 *
 * @param {Element} root
 */
export function makeMoneyView(root) {
  const row = h("dl", { class: "row" });
  const list = h("ol", { class: "money-facts" });
  root.append(row, list);
  return {
    /** @param {any} order */
    update(order) {
      const { events } = order;
      const { payment } = at(events, events.length - 1);
      const amount = sum(order.amount, order.currency);
      row.replaceChildren(
        pair("Payment", order.payment_id),
        pair("Status", payment ?? "never requested"),
        pair("Money held", held(payment, amount)),
      );
      reconcile(
        list,
        money(events, events.length - 1),
        ({ event }) => String(event.number),
        ({ what, answered, detail, event }) =>
          h(
            "li",
            {},
            h("span", { class: "who" }, answered ? "Gateway" : "Order"),
            h("span", {}, [what, answered ? "" : amount, detail].filter(Boolean).join(", ")),
            h("span", { class: "at" }, `event ${event.number}, ${offset(events, event)}`),
          ),
      );
    },
  };
}

/**
 * @param {string} name
 * @param {string} value
 */
function pair(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

/**
 * @param {string | null} payment
 * @param {string} amount
 */
function held(payment, amount) {
  return payment ? (HELD[payment]?.(amount) ?? "unknown") : "nothing";
}

/**
 * @param {AuditEvent[]} events
 * @param {AuditEvent} event
 */
function offset(events, event) {
  return `+${duration(secondsTo(events, event))}`;
}

/**
 * @param {AuditEvent[]} events
 * @param {AuditEvent} event
 */
function inWords(events, event) {
  return `${words(event.type)}, ${offset(events, event)}`;
}

/** @param {Record<string, string> | null} address */
function inLine(address) {
  if (!address) return "not on record: it was changed later";
  const { name, street, city, region, postal_code: code, country } = address;
  return [name, street, [code, city].filter(Boolean).join(" "), region, country]
    .filter(Boolean)
    .join(", ");
}

/** @param {AuditEvent} event */
function payload(event) {
  const parts = Object.entries(event.payload).map(([name, value]) => {
    const text = typeof value === "object" ? inLine(value) : String(value);
    return `${words(name)}: ${text}`;
  });
  return parts.join("; ") || "empty";
}
