// The overview: open orders, ends, task queues and their workers, refusals.
import { ApiError, get } from "./api.js";
import { ends } from "./ends.js";
import { setConnection } from "./connection.js";
import { h, time } from "./dom.js";
import { follow } from "./feed.js";
import { Orders } from "./model.js";
import { latestEnds, openOrders } from "./orders.js";
import { queues } from "./queues.js";
import { admission } from "./admission.js";

// With the feed an overview brings what no event does; without it, it brings everything.
const WITH_FEED_MS = 2000;
const WITHOUT_FEED_MS = 1000;
const MOST_WAIT_MS = 5000;
// However many events come, the tables are drawn ten times a second.
const DRAW_MS = 100;
// Times left are shown in seconds.
const TICK_MS = 500;

/**
 * Shows the overview until it is stopped.
 * @param {HTMLElement} root
 * @returns {() => void}
 */
export function showOverview(root) {
  const orders = new Orders();
  const banner = h("p", { class: "notice bad", hidden: true });
  const parts = {
    orders: openOrders(),
    ended: latestEnds(),
    ends: ends(),
    queues: queues(),
    admission: admission(),
  };
  const board = h(
    "div",
    { class: "board", "aria-busy": true },
    h("div", { class: "column" }, parts.orders.node, parts.ended.node),
    h("div", { class: "column" }, parts.ends.node, parts.queues.node, parts.admission.node),
  );
  root.replaceChildren(h("h1", { class: "hidden" }, "Overview"), banner, board);

  const stopping = new AbortController();
  const { signal } = stopping;
  let fed = false;
  let feedFailed = false;
  let drawing = false;
  let drawn = 0;
  let lastAnswer = "";
  let unfollow = () => {};
  let wake = () => {};

  /** Draws soon, once for all that changes until then. */
  function draw() {
    if (drawing) return;
    drawing = true;
    const wait = Math.max(0, drawn + DRAW_MS - performance.now());
    setTimeout(() => requestAnimationFrame(drawNow), wait);
  }

  function drawNow() {
    drawing = false;
    drawn = performance.now();
    parts.orders.show(orders, drawn);
    parts.ended.show(orders.latest());
  }

  async function read() {
    const asked = performance.now();
    const overview = await get("/overview");
    if (signal.aborted) return;
    const why = overview.unavailable;
    if (overview.orders) {
      orders.forward = overview.forward_seconds;
      orders.read(overview.orders, overview.deadline_seconds, asked, performance.now());
      draw();
    }
    parts.orders.explain(why.orders);
    parts.ends.show(overview.ends, why.ends);
    parts.queues.show(overview.queues, why.queues);
    parts.admission.show(overview.admission, overview.process);
    board.removeAttribute("aria-busy");
    board.classList.remove("stale");
    banner.hidden = true;
    lastAnswer = time(new Date());
    showConnection();
  }

  function showConnection() {
    if (fed) setConnection("live");
    else if (feedFailed) setConnection("polling", "the feed of events is not available");
  }

  async function poll() {
    let wait = WITHOUT_FEED_MS;
    while (!signal.aborted) {
      try {
        if (!document.hidden) await read();
        wait = fed ? WITH_FEED_MS : WITHOUT_FEED_MS;
      } catch (error) {
        if (signal.aborted) return;
        wait = Math.min(wait * 1.5, MOST_WAIT_MS);
        explain(/** @type {Error} */ (error));
        if (error instanceof ApiError && error.status === 401) return;
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, wait, undefined);
        wake = () => resolve(clearTimeout(timer));
      });
    }
  }

  /** @param {Error} error */
  function explain(error) {
    setConnection("away", error.message);
    board.classList.add("stale");
    banner.hidden = false;
    const known = lastAnswer && ` This is what was known at ${lastAnswer}.`;
    const needsKey = error instanceof ApiError && error.status === 401;
    const then = needsKey ? h("button", { onclick: start }, "Enter an API key") : "Trying again.";
    banner.replaceChildren(`${error.message}${known} `, then);
  }

  /** Follows the feed while somebody looks. */
  function listen() {
    unfollow();
    fed = false;
    if (document.hidden) return;
    wake();
    unfollow = follow("/events", {
      onEvent: (event) => {
        if (orders.hear(event.data, performance.now())) draw();
      },
      onState: (state) => {
        fed = state === "open";
        feedFailed = fed ? false : feedFailed || state !== "connecting";
        if (lastAnswer && banner.hidden) showConnection();
      },
    });
  }

  function start() {
    poll();
    listen();
  }

  const ticking = setInterval(() => parts.orders.tick(performance.now()), TICK_MS);
  document.addEventListener("visibilitychange", listen, { signal });
  start();
  return () => {
    stopping.abort();
    clearInterval(ticking);
    unfollow();
    wake();
  };
}
