/** The page of one order: what it is now, what it was at any moment, and what may be done with it. */
import { makeActions } from "./actions.js";
import { get } from "./api.js";
import { setConnection } from "./connection.js";
import { duration, h, money, setAttribute, setText, time, words } from "./dom.js";
import { follow } from "./feed.js";
import { ENDS, OWED } from "./history.js";
import { makeMoneyView, makePast } from "./past.js";
import { makeTimeline, secondsTo } from "./timeline.js";

/** Where there is no row there are no events to wait for. */
const ROWLESS_MS = 1000;
const TICK_MS = 200;
/** Until the API has told its own. */
const DEADLINE = 15;
/** Seconds left from which on an order is in a hurry. */
const LATE = 3;

/**
 * Shows an order until the page is left.
 *
 * @param {HTMLElement} root
 * @param {string} id
 * @returns {() => void} stops
 */
export function showOrder(root, id) {
  const view = makeView(root, id, load);
  const path = `/orders/${encodeURIComponent(id)}`;
  /** @type {any} */
  const model = { order: null, status: null, caller: null, links: null, problem: null, asked: 0 };
  let stopped = false;
  let loading = false;
  let again = false;
  let unfollow = () => {};
  let following = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;

  async function load() {
    if (loading) {
      again = true;
      return;
    }
    loading = true;
    again = false;
    clearTimeout(retry);
    const status = readStatus().then(
      () => true,
      () => false,
    );
    /** @type {any} */
    let problem = null;
    try {
      model.order = await get(path);
      // Without waiting for the status: where no worker answers it takes a second.
      if (!stopped) view.update({ ...model, problem: null });
    } catch (error) {
      // What was shown stays.
      problem = error;
    }
    const rowless = (await status) && problem?.status === 404;
    loading = false;
    if (stopped) return;
    model.problem = rowless ? null : problem;
    view.update(model);
    if (model.order && !model.links) readLinks();
    if (model.order && !following && !isComplete(model.order)) live();
    const refused = problem?.status === 401 || problem?.status === 403;
    if ((!model.order || problem) && !refused) retry = setTimeout(load, ROWLESS_MS);
    if (problem && problem.status !== 404) setConnection("away", problem.message);
    else if (!following) setConnection(model.order ? "live" : "polling");
    if (again) load();
  }

  async function readStatus() {
    const before = performance.now();
    model.status = await get(`${path}/status`);
    // When its `seconds_left` held: this machine's clock may be another than the API's.
    model.asked = (before + performance.now()) / 2;
  }

  async function readLinks() {
    model.links = await get(`${path}/links`).catch(() => null);
    if (!stopped) view.update(model);
  }

  function live() {
    following = true;
    unfollow = follow(`${path}/events`, {
      onEvent: load,
      onState: (state, error) => {
        if (state === "open") setConnection("live");
        else if (state === "closed" && error) setConnection("away", error.message);
        else if (state === "ended") {
          setConnection("live", "the order is complete");
          load();
        }
      },
    });
  }

  get("/whoami").then(
    (caller) => {
      model.caller = caller;
      if (!stopped) view.update(model);
    },
    () => {},
  );
  load();
  const tick = setInterval(() => view.tick(model), TICK_MS);
  return () => {
    stopped = true;
    clearInterval(tick);
    clearTimeout(retry);
    unfollow();
  };
}

/** @param {any} order */
function isComplete({ state, payments }) {
  if (state === "fulfilled") return true;
  return ENDS.includes(state) && !payments.some((/** @type {any} */ p) => OWED.includes(p.status));
}

/**
 * @param {HTMLElement} root
 * @param {string} id
 * @param {() => void} load
 */
function makeView(root, id, load) {
  const state = h("span", { class: "state" });
  const left = h("span", { class: "remaining" });
  const notice = h("p", { class: "notice", hidden: true });
  const facts = h("dl", { class: "facts" });
  const links = h("p", { class: "links" });
  const body = h("div", { class: "order-body", hidden: true });
  const head = h("div", { class: "order-head" }, h("h1", {}, id), state, left);
  root.append(h("article", { class: "order" }, head, notice, facts, links, body));
  const actions = makeActions(section(body, "actions", "What you can do now"), load);
  const timeline = makeTimeline(section(body, "timeline", "Timeline"));
  const past = makePast(section(body, "past", "At any moment"), () => draw());
  const balance = makeMoneyView(section(body, "money", "Money"));
  /** @type {any} */
  let model = {};

  /** @param {any} next */
  function update(next) {
    model = next;
    const { order, status, problem } = model;
    const now = order?.state ?? status?.state ?? "";
    setText(state, words(now));
    setAttribute(state, "data-state", now);
    setAttribute(state, "hidden", !now);
    tellProblem(notice, id, model);
    setAttribute(body, "hidden", !now);
    if (!now) return;
    fillFacts(facts, model);
    fillLinks(links, model.links);
    actions.update({
      id,
      state: problem ? "" : now,
      reviewed: (order?.events ?? []).some((/** @type {any} */ e) => e.type === "reviewed"),
      address: order?.address ?? status?.address ?? null,
      roles: model.caller?.roles ?? [],
    });
    setAttribute(/** @type {Element} */ (body.querySelector(".past")), "hidden", !order);
    setAttribute(/** @type {Element} */ (body.querySelector(".money")), "hidden", !order);
    if (order) {
      past.update(order);
      balance.update(order);
    }
    draw();
  }

  /** Draws what depends on the time, or on where the slider is. */
  function draw() {
    const { order, status } = model;
    if (!order && !status) return;
    const events = order?.events ?? [];
    const chosen = past.chosen();
    const open = isOpen(model);
    const seconds = open && status ? secondsLeft(model) : null;
    setText(left, seconds === null ? "" : `${seconds.toFixed(1)} s left`);
    setAttribute(left, "data-late", seconds !== null && seconds < LATE);
    const deadline = model.caller?.order_deadline_seconds ?? DEADLINE;
    const scene = { events, steps: status?.steps ?? {}, open, now: elapsed(model), deadline };
    timeline.update(scene, chosen && secondsTo(events, chosen));
  }

  return {
    update,
    /** @param {any} next */
    tick(next) {
      model = next;
      if (isOpen(model)) draw();
    },
  };
}

/** @param {any} model */
function isOpen({ order, status }) {
  const state = order?.state ?? status?.state;
  return Boolean(state) && !ENDS.includes(state);
}

/** @param {any} model */
function secondsLeft({ status, asked }) {
  return Math.max(status.seconds_left - (performance.now() - asked) / 1000, 0);
}

/** @param {any} model */
function elapsed(model) {
  const deadline = model.caller?.order_deadline_seconds ?? DEADLINE;
  if (isOpen(model) && model.status) return deadline - secondsLeft(model);
  const begin = model.order?.events[0]?.ts;
  const last = model.order?.events.at(-1)?.ts;
  // Open, or its money not back yet: by this machine's clock.
  const now = model.order && !isComplete(model.order) ? Date.now() : Date.parse(last);
  return begin ? (now - Date.parse(begin)) / 1000 : 0;
}

/**
 * @param {Element} body
 * @param {string} name
 * @param {string} title
 */
function section(body, name, title) {
  const heading = h("h2", { id: `order-${name}` }, title);
  const node = h("section", { class: `card ${name}`, "aria-labelledby": `order-${name}` }, heading);
  body.append(node);
  return node;
}

/**
 * @param {HTMLElement} notice
 * @param {string} id
 * @param {any} model
 */
function tellProblem(notice, id, { order, status, problem }) {
  let text = "";
  if (problem?.status === 404) text = `There is no order ${id}.`;
  else if (problem) text = `${problem.status || ""} ${problem.title}: ${problem.detail}`.trim();
  else if (!order && status) text = "Accepted; its row is not written yet.";
  else if (order?.events.some((/** @type {any} */ e) => e.type === "forgotten")) {
    text = "This order is forgotten: *** stands for its address and for every free text.";
  }
  setText(notice, text);
  setAttribute(notice, "hidden", !text);
  setAttribute(notice, "role", problem ? "alert" : null);
  notice.classList.toggle("bad", Boolean(problem));
}

/**
 * @param {Element} facts
 * @param {any} model
 */
function fillFacts(facts, { order, status }) {
  /** @type {[string, string][]} */
  const rows = [];
  if (order) {
    const end = order.events.find((/** @type {any} */ e) => ENDS.includes(e.type));
    rows.push(["Amount", money(order.amount, order.currency)]);
    rows.push(["Items", order.items.map(item).join(", ") || "none"]);
    rows.push(["Placed", `${new Date(order.created_at).toLocaleDateString()} ${time(order.created_at)}`]);
    if (end) rows.push(["Took", duration(secondsTo(order.events, end))]);
    const why = end?.payload.reason ?? status?.reason;
    if (end && why) rows.push(["Reason", why]);
  } else {
    rows.push(["Source", status.source === "workflow" ? "its workflow" : "Temporal"]);
  }
  facts.replaceChildren(
    ...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** @param {{sku: string, quantity: number, price: string}} item */
function item({ sku, quantity, price }) {
  return `${quantity} × ${sku} at ${price}`;
}

/**
 * @param {Element} node
 * @param {{temporal_ui: string | null, trace: string | null} | null} links
 */
function fillLinks(node, links) {
  const shown = [
    ["Workflow in Temporal", links?.temporal_ui],
    ["Trace", links?.trace],
  ].filter(([, url]) => url);
  node.replaceChildren(
    ...shown.map(([text, url]) => h("a", { href: url, target: "_blank", rel: "noreferrer" }, text)),
  );
}
