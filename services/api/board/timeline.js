/**
 * The timeline of an order: a lane for each step, its work and its waiting as bars from the order's
 * begin, the deadline as a line.
 *
 * @typedef {import("./history.js").AuditEvent} AuditEvent
 * @typedef {object} Bar
 * @property {"work" | "wait" | "undo"} kind
 * @property {number} from seconds since the order's begin
 * @property {number} to
 * @property {boolean} open it goes on
 * @property {boolean} failed
 * @property {string} title
 * @typedef {object} Lane
 * @property {string} name
 * @property {Bar[]} bars
 * @property {number} attempts
 * @property {string[]} errors
 * @typedef {{attempts: number, errors: string[], last_error: string}} StepStatus
 * @typedef {object} Scene
 * @property {AuditEvent[]} events
 * @property {Record<string, StepStatus>} steps by name, as the status has them
 * @property {boolean} open more events may follow
 * @property {number} now seconds since the order's begin
 * @property {number} deadline seconds that an order has
 */
import { duration, h, reconcile, s, setAttribute, setText } from "./dom.js";
import { ENDS } from "./history.js";

/** Shorter waiting is not worth a bar. */
const SHORTEST_WAIT = 0.02;
/** Lanes in their order, with the steps of the status that belong to them. */
const LANES = [
  ["validate", "receive", "validate"],
  ["review", "review"],
  ["charge", "charge"],
  ["prepare", "prepare"],
  ["dispatch", "dispatch", "ship"],
  ["end", "end"],
  ["undo", "refund", "recall"],
];
/** Ends that are the fault of the step that was under way. */
const FAILURES = ["rejected", "failed", "timed_out"];

/**
 * Returns the seconds between an order's first event and another one.
 *
 * @param {AuditEvent[]} events
 * @param {AuditEvent} event
 */
export function secondsTo(events, event) {
  return (Date.parse(event.ts) - Date.parse(events[0].ts)) / 1000;
}

/**
 * Returns the lanes of an order that have anything to show.
 *
 * @param {Scene} scene
 * @returns {Lane[]}
 */
export function lanesOf(scene) {
  /** @type {Map<string, Lane>} */
  const lanes = new Map(
    LANES.map(([name]) => [name, { name, bars: [], attempts: 0, errors: [] }]),
  );
  /** @param {string} name */
  const lane = (name) => /** @type {Lane} */ (lanes.get(name));
  addBars(scene, lane);
  for (const [name, ...steps] of LANES) {
    const told = steps.map((step) => scene.steps[step]).filter(Boolean);
    const errors = told.flatMap(({ errors: all, last_error: last }) =>
      all.includes(last) || !last ? all : [...all, last],
    );
    const { errors: logged, attempts } = lane(name);
    Object.assign(lane(name), {
      errors: errors.length ? errors : logged,
      attempts: Math.max(attempts, ...told.map((step) => step.attempts)),
    });
  }
  return [...lanes.values()].filter(({ bars, errors }) => bars.length || errors.length);
}

/**
 * Adds what the audit log has: it names the begin of a charge and of a dispatch, and the end of all
 * steps. What lies between is waiting: for a worker, or for the next attempt.
 *
 * @param {Scene} scene
 * @param {(name: string) => Lane} lane
 */
function addBars({ events, open, now }, lane) {
  /** The bar that has begun, and its lane. @type {{bar: Bar | null, name: string}} */
  const running = { bar: null, name: "" };
  let ended = "";
  let owed = false;
  /** @type {(at: number, failed?: boolean) => void} */
  const close = (at, failed = false) => {
    const { bar, name } = running;
    running.bar = null;
    if (!bar || (bar.kind === "wait" && at - bar.from < SHORTEST_WAIT)) return;
    lane(name).bars.push({ ...bar, to: at, open: false, failed });
  };
  /** @type {(name: string, kind: Bar["kind"], from: number, title: string) => void} */
  const begin = (name, kind, from, title) => {
    running.name = name;
    running.bar = { kind, from, to: from, open: true, failed: false, title };
  };
  for (const event of events) {
    const { type, payload } = event;
    const at = secondsTo(events, event);
    if (type === "received") begin("validate", "work", at, "received, being validated");
    else if (type === "validated") {
      close(at);
      lane("validate").attempts = payload.attempt;
      begin("review", "work", at, "open for a decision");
    } else if (type === "reviewed" && !ended) {
      close(at);
      if (payload.approved) begin("charge", "wait", at, "waiting for a worker");
      else begin("end", "wait", at, "until the end is written");
    } else if (type === "charging" && !("reason" in payload)) {
      close(at);
      owed = true;
      begin("charge", "work", at, "at the payment gateway");
    } else if (type === "charged" && !ended) {
      close(at);
      lane("charge").attempts = payload.attempt;
      begin("prepare", "work", at, "until a shipping worker has prepared the package");
    } else if (type === "declined") {
      lane("charge").errors.push(payload.reason);
      // An attempt that is given up may hear of it after the order's end.
      if (ended) continue;
      close(at, true);
      begin("end", "wait", at, "until the end is written");
    } else if (type === "prepared") {
      close(at);
      lane("prepare").attempts = payload.attempt;
      begin("dispatch", "wait", at, "waiting for a worker");
    } else if (type === "dispatching") {
      // An attempt that gave no answer is still open.
      close(at, running.bar?.kind === "work");
      lane("dispatch").attempts += 1;
      const { shipping_attempt: shipping, attempt } = payload;
      begin("dispatch", "work", at, `at the carrier: shipping attempt ${shipping}.${attempt}`);
    } else if (type === "dispatch_failed" && !ended) {
      close(at, true);
      lane("dispatch").errors.push(payload.reason);
      begin("dispatch", "wait", at, "waiting for the next shipping attempt");
    } else if (ENDS.includes(type) && type !== ended) {
      close(at, FAILURES.includes(type) && running.bar?.kind === "work");
      ended = type;
      owed &&= type !== "fulfilled";
      if (owed) begin("undo", "undo", at, "until the money is back");
    } else if (["voided", "refunded"].includes(type)) {
      owed = false;
      close(at);
    } else if (type === "recalled") {
      const [bar] = lane("undo").bars;
      if (bar) bar.to = Math.max(bar.to, at);
    }
  }
  const { bar, name } = running;
  if (bar && (open || owed)) lane(name).bars.push({ ...bar, to: Math.max(now, bar.from) });
}

/**
 * Shows a timeline.
 *
 * @param {Element} root
 */
export function makeTimeline(root) {
  const axis = s("svg", { class: "ticks", "aria-hidden": "true" });
  const list = h("ol", { class: "lanes" });
  const summary = h("p", { class: "detail" });
  root.append(h("div", { class: "lane scale" }, h("span"), axis, h("span")), list, summary);

  /**
   * @param {Scene} scene
   * @param {number | null} moment seconds at which the slider is
   */
  function update(scene, moment) {
    const lanes = lanesOf(scene);
    const latest = scene.events.at(-1);
    const last = latest ? secondsTo(scene.events, latest) : 0;
    // A refund may take hours: such a bar ends with the scale.
    const most = Math.min(Math.max(scene.deadline * 1.06, last, scene.now), scene.deadline * 2);
    /** @param {number} seconds */
    const x = (seconds) => `${((Math.min(Math.max(seconds, 0), most) / most) * 100).toFixed(2)}%`;
    const lines = [
      line("deadline", x(scene.deadline)),
      moment !== null && line("moment", x(moment)),
    ];
    axis.replaceChildren(...ticks(scene.deadline, x));
    reconcile(list, lanes, ({ name }) => name, makeLane, (node, lane) =>
      updateLane(node, lane, x, lines),
    );
    setText(summary, `The line at ${duration(scene.deadline)} is the deadline. Dotted is waiting.`);
  }

  return { update };
}

/** @param {Lane} lane */
function makeLane({ name }) {
  return h(
    "li",
    { class: "lane" },
    h("span", { class: "lane-name" }, name),
    s("svg", { class: "track", "aria-hidden": "true" }),
    h("span", { class: "took" }),
    h("ul", { class: "errors" }),
  );
}

/**
 * @param {Element} node
 * @param {Lane} lane
 * @param {(seconds: number) => string} x
 * @param {(SVGElement | false)[]} lines
 */
function updateLane(node, { bars, attempts, errors }, x, lines) {
  const [, track, took, list] = node.children;
  track.replaceChildren(
    ...bars.map((bar) => rectangle(bar, x)),
    ...lines.filter(Boolean).map((shape) => /** @type {Node} */ (shape).cloneNode(true)),
  );
  setText(took, inWords(bars, attempts));
  const times = (/** @type {string} */ error) => errors.filter((other) => other === error).length;
  reconcile(list, new Set(errors), (error) => error, () => h("li"), (node, error) =>
    setText(node, times(error) > 1 ? `${error} (${times(error)} times)` : error),
  );
  setAttribute(list, "hidden", !errors.length);
}

/**
 * @param {Bar[]} bars
 * @param {number} attempts
 */
function inWords(bars, attempts) {
  /** @param {boolean} waiting */
  const sum = (waiting) =>
    bars
      .filter(({ kind }) => (kind === "wait") === waiting)
      .reduce((total, { from, to }) => total + to - from, 0);
  const parts = [duration(sum(false))];
  if (sum(true) >= SHORTEST_WAIT) parts.push(`waited ${duration(sum(true))}`);
  if (attempts > 1) parts.push(`${attempts} attempts`);
  if (bars.at(-1)?.open) parts.push("running");
  else if (bars.at(-1)?.failed) parts.push("failed");
  return bars.length ? parts.join(", ") : "";
}

/**
 * @param {Bar} bar
 * @param {(seconds: number) => string} x
 */
function rectangle({ kind, from, to, open, failed, title }, x) {
  const width = `${(parseFloat(x(to)) - parseFloat(x(from))).toFixed(2)}%`;
  const look = `beam ${failed ? "failed" : kind}${open ? " open" : ""}`;
  return s(
    "rect",
    { class: look, x: x(from), y: "15%", width, height: "70%", rx: 2 },
    s("title", {}, `${title}: ${duration(from)} to ${duration(to)}`),
  );
}

/**
 * @param {string} look
 * @param {string} x
 */
function line(look, x) {
  return s("line", { class: look, x1: x, x2: x, y1: "0", y2: "100%" });
}

/**
 * @param {number} deadline
 * @param {(seconds: number) => string} x
 */
function ticks(deadline, x) {
  const step = deadline / 3;
  return [0, step, 2 * step, deadline].map((seconds, index) =>
    s(
      "text",
      { x: x(seconds), y: "80%", "text-anchor": index ? (index === 3 ? "end" : "middle") : "start" },
      seconds ? duration(seconds) : 0,
    ),
  );
}
