// What the page says of its connection, in its header: announced when it changes, and only then.

/** @typedef {"connecting" | "live" | "polling" | "away"} Connection */

/** @type {Record<Connection, string>} */
const WORDS = {
  connecting: "Connecting",
  live: "Live",
  polling: "Every second",
  away: "Disconnected",
};

/**
 * Shows a state of the connection.
 * @param {Connection} state
 * @param {string} [detail] why, as a tooltip and for screen readers
 */
export function setConnection(state, detail = "") {
  const node = /** @type {HTMLElement} */ (document.getElementById("connection"));
  const text = detail ? `${WORDS[state]}: ${detail}` : WORDS[state];
  if (node.title === text) return;
  node.title = text;
  node.dataset.state = state;
  node.textContent = WORDS[state];
}
