/**
 * An order's past, folded from its audit log: what its row and its payment were after each event.
 *
 * Pure, and equal to what Postgres had: `tests/unit/board/test_history.py` compares the fold with the
 * rows of 200 recorded orders, commit by commit.
 *
 * @typedef {{number: number, type: string, payload: Record<string, any>, ts: string}} AuditEvent
 * @typedef {Record<string, string>} Address
 * @typedef {object} Moment
 * @property {string} state the row's state; empty before the first event
 * @property {Address | null} address the row's address, null while no event has told it
 * @property {string | null} payment the status of the payment's row, null without a row
 */

/** The last five states of an order. */
export const ENDS = Object.freeze(["fulfilled", "cancelled", "rejected", "failed", "timed_out"]);

const NOTHING = Object.freeze({ state: "", address: null, payment: null });
/** The statuses of a payment that an order which has ended still has to undo. */
export const OWED = Object.freeze(["pending", "captured"]);

/**
 * Returns the order's state, address and payment after `events[index]`; before all events for -1.
 *
 * Events of types that are not known here change nothing: a newer release may add some.
 *
 * @param {AuditEvent[]} events
 * @param {number} index
 * @returns {Moment}
 */
export function at(events, index) {
  return events.slice(0, index + 1).reduce(after, NOTHING);
}

/**
 * Returns the address at a moment: the row's own if it was never changed, null if it is not on record.
 *
 * The log has each new address, but not the first one: that is in the row until it is changed. Of a
 * forgotten order both have *** only.
 *
 * @param {{address: Address, events: AuditEvent[]}} order
 * @param {Moment} moment
 * @returns {Address | null}
 */
export function addressAt(order, moment) {
  const changed = order.events.some((event) => event.type === "address_updated");
  return moment.address ?? (changed ? null : order.address);
}

/**
 * @param {Moment} moment
 * @param {AuditEvent} event
 * @returns {Moment}
 */
function after(moment, { type, payload }) {
  /** @type {(state: string, ...from: string[]) => Moment} */
  const enter = (state, ...from) => (from.includes(moment.state) ? { ...moment, state } : moment);
  /** @type {(payment: string, ...from: (string | null)[]) => Moment} */
  const pay = (payment, ...from) => (from.includes(moment.payment) ? { ...moment, payment } : moment);
  switch (type) {
    case "received":
      return enter("received", "");
    case "validated":
      return enter("in_review", "received");
    case "charging":
      // With a reason, the row of a payment that was lost is written again: the state stays.
      return { ...pay("pending", null), state: "reason" in payload ? moment.state : "charging" };
    case "charged":
      return { ...pay("captured", "pending"), state: enter("charged", "charging").state };
    case "prepared":
      return enter("shipping", "charged");
    case "dispatching":
      return enter("dispatching", "shipping");
    case "dispatch_failed":
      // Of an unknown outcome otherwise: the claim stays.
      return payload.released ? enter("shipping", "dispatching") : moment;
    case "fulfilled":
      // Also in place of another end, or of a lost payment: the carrier has delivered.
      return { ...pay("captured", null, "pending"), state: "fulfilled" };
    case "cancelled":
    case "rejected":
    case "failed":
    case "timed_out":
      return ENDS.includes(moment.state) ? moment : { ...moment, state: type };
    case "voided":
      return pay("voided", "pending");
    case "refunded":
      return pay("refunded", ...OWED);
    case "address_updated":
      return { ...moment, address: payload.address };
    default:
      return moment;
  }
}

/**
 * @typedef {object} Fact
 * @property {string} what what became of the money
 * @property {boolean} answered whether the gateway said so
 * @property {string} detail its words, or the attempt
 * @property {AuditEvent} event the event that has it
 */

/**
 * Returns what the gateway was asked for and what it answered, up to `events[index]`.
 *
 * @param {AuditEvent[]} events
 * @param {number} index
 * @returns {Fact[]}
 */
export function money(events, index) {
  return events.slice(0, index + 1).flatMap((event) => {
    const { type, payload } = event;
    const attempt = payload.attempt > 1 ? `attempt ${payload.attempt}` : "";
    const detail = payload.reason ?? attempt;
    /** @type {Record<string, [string, boolean]>} */
    const facts = {
      charging: ["charge requested", false],
      charged: ["captured", true],
      declined: ["declined", true],
      voided: ["voided: nothing was captured, and nothing can be", true],
      refunded: ["refunded", true],
    };
    if (!Object.hasOwn(facts, type)) return [];
    const [what, answered] = facts[type];
    return [{ what, answered, detail, event }];
  });
}
