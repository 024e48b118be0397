// The orders that the board shows: overviews, each the truth of a moment ago, and events in between.
import { ENDS } from "./history.js";

/**
 * @typedef {object} Order an open order
 * @property {string} id
 * @property {string} state
 * @property {string} amount
 * @property {string} currency
 * @property {number} sequence of its last event
 * @property {number} attempts
 * @property {number} ends when its time is over, on the page's own clock, in milliseconds
 * @property {number} heard when the page last heard of it, on the same clock
 */

/**
 * @typedef {object} Ended an order that has ended
 * @property {string} id
 * @property {string} state
 * @property {number} sequence
 * @property {number} at when, in milliseconds since the epoch
 * @property {number | null} took seconds from its acceptance; unknown if the page never saw it open
 */

const OPEN = ["received", "in_review", "charging", "charged", "shipping", "dispatching"];
const LATEST = 10;
/** So many that no overview, a second old, brings one of them back. */
const MOST_ENDED = 1000;

export class Orders {
  /** @type {Map<string, Order>} */
  open = new Map();
  /** @type {Map<string, Ended>} */
  ended = new Map();
  /** How many are open, those not known here too. */
  total = 0;
  /** @type {Record<string, number>} */
  byState = {};
  /** Seconds that an order has, and after which it goes no further. */
  deadline = 15;
  forward = 12;

  /**
   * Takes in an overview.
   * @param {any} orders its part `orders`
   * @param {number} deadline seconds of an order
   * @param {number} asked when it was asked for
   * @param {number} now
   */
  read(orders, deadline, asked, now) {
    this.deadline = deadline;
    this.byState = orders.open_by_state;
    this.total = Object.values(this.byState).reduce((sum, count) => sum + count, 0);
    for (const row of orders.ended) this.#end(row, Date.parse(row.ended_at), row.took_seconds);
    const listed = new Set();
    for (const row of orders.open) {
      listed.add(row.id);
      const known = this.open.get(row.id);
      if (this.ended.has(row.id) || (known && known.sequence > row.sequence)) continue;
      const ends = now + (deadline - row.age_seconds) * 1000;
      // The same moment each time, but for the way of the answers: an order keeps its place.
      const steady = known && Math.abs(known.ends - ends) < 500 ? known.ends : ends;
      this.open.set(row.id, { ...row, ends: steady, heard: now });
    }
    const last = orders.open.at(-1);
    const complete = orders.open.length >= this.total;
    const until = last && !complete ? now + (deadline - last.age_seconds) * 1000 : Infinity;
    for (const [id, order] of this.open) {
      // It has ended, and nobody said so.
      if (!listed.has(id) && order.ends < until && order.heard < asked) this.open.delete(id);
    }
  }

  /**
   * Takes in an event of the feed; returns whether it changes anything.
   * @param {any} event a CloudEvent
   * @param {number} now
   */
  hear(event, now) {
    const { subject: id, type, data, time } = event;
    const { state } = data;
    const known = this.open.get(id);
    if (this.ended.has(id) || (known && known.sequence >= data.sequence)) return false;
    if (ENDS.includes(state)) {
      const took = known ? this.deadline - (known.ends - now) / 1000 : null;
      this.#end({ id, state, sequence: data.sequence }, Date.parse(time), took);
      this.#count(known?.state, -1);
      this.total = Math.max(0, this.total - 1);
      return true;
    }
    if (!OPEN.includes(state)) return false;
    const attempts = Math.max(known?.attempts ?? 1, data.payload?.attempt ?? 1);
    if (known) {
      this.open.set(id, { ...known, state, attempts, sequence: data.sequence, heard: now });
      this.#count(known.state, -1);
    } else if (type === "received") {
      const ends = now + this.deadline * 1000;
      const { amount = "", currency = "" } = data.payload ?? {};
      const fresh = { id, state, amount, currency, attempts, sequence: data.sequence };
      this.open.set(id, { ...fresh, ends, heard: now });
      this.total += 1;
    } else {
      // It is beyond the overview's first 100, and its state before is not known.
      return false;
    }
    this.#count(state, 1);
    return true;
  }

  /** The orders whose time ends first. @param {number} most */
  first(most) {
    return [...this.open.values()].sort((a, b) => a.ends - b.ends).slice(0, most);
  }

  /** The last orders that ended. */
  latest() {
    return [...this.ended.values()].sort((a, b) => b.at - a.at).slice(0, LATEST);
  }

  /** @param {{id: string, state: string, sequence: number}} row @param {number} at @param {number | null} took */
  #end({ id, state, sequence }, at, took) {
    this.open.delete(id);
    const known = this.ended.get(id);
    if (!known || (known.took === null && took !== null)) {
      this.ended.set(id, { id, state, sequence, at, took });
    }
    for (const oldest of this.ended.keys()) {
      if (this.ended.size <= MOST_ENDED) break;
      this.ended.delete(oldest);
    }
  }

  /** @param {string | undefined} state @param {number} by */
  #count(state, by) {
    if (state) this.byState[state] = Math.max(0, (this.byState[state] ?? 0) + by);
  }
}
