// Both task queues: what waits, and the workers that poll.
import { duration, h, reconcile, setAttribute, setText } from "./dom.js";

/** The card of task queues. */
export function queues() {
  const list = h("div", { class: "queues" });
  const empty = h("p", { class: "empty" }, "Loading");
  const header = h("header", {}, h("h2", { id: "queues-title" }, "Task queues and workers"));
  const node = h("section", { class: "card", "aria-labelledby": "queues-title" }, header, empty, list);
  return {
    node,
    /** @param {any[] | null} views @param {string} [failure] */
    show(views, failure) {
      list.hidden = views === null;
      empty.hidden = views !== null;
      setText(empty, failure ?? "");
      if (views) reconcile(list, views, ({ task_queue }) => task_queue, makeQueue, showQueue);
    },
  };
}

/** @param {any} queue */
function makeQueue({ task_queue }) {
  const id = `queue-${task_queue}`;
  return h(
    "section",
    { "aria-labelledby": id },
    h("header", {}, h("h3", { id }, task_queue), h("p", { class: "waiting" })),
    h(
      "table",
      {},
      h("caption", { class: "hidden" }, `Workers of ${task_queue}`),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Worker"),
          h("th", { scope: "col", class: "number" }, "Workflow tasks"),
          h("th", { scope: "col", class: "number" }, "Activities"),
          h("th", { scope: "col", class: "number" }, "CPU"),
        ),
      ),
      h("tbody"),
    ),
    h("p", { class: "empty" }),
  );
}

/** @param {HTMLElement} node @param {any} queue */
function showQueue(node, queue) {
  const [header, table, none] = /** @type {HTMLElement[]} */ ([...node.children]);
  const waits = queue.workflow_backlog + queue.activity_backlog;
  const waiting = /** @type {HTMLElement} */ (header.lastElementChild);
  setAttribute(waiting, "data-level", waits ? "soon" : "");
  const age = queue.backlog_age_seconds ? `, the oldest for ${duration(queue.backlog_age_seconds)}` : "";
  setText(waiting, waits ? `${waits} tasks wait${age}` : "no task waits");
  table.hidden = queue.workers.length === 0;
  none.hidden = queue.workers.length > 0;
  const polls = queue.pollers ? `${queue.pollers} poll, and tell nothing of themselves.` : "No worker polls.";
  setText(none, polls);
  setAttribute(none, "data-level", queue.pollers ? "" : "overdue");
  const body = /** @type {HTMLTableElement} */ (table).tBodies[0];
  reconcile(body, queue.workers, (/** @type {any} */ { worker, build }) => `${build} ${worker}`, makeWorker, (row, worker) =>
    showWorker(row, worker, queue),
  );
}

/** @param {any} worker */
function makeWorker({ worker }) {
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("span", { class: "name", title: worker }, worker),
      h("span", { class: "detail" }, h("span", { class: "status" }), " ", h("span", { class: "build" })),
    ),
    h("td", { class: "number" }),
    h("td", { class: "number" }),
    h("td", { class: "number" }),
  );
}

/** @param {HTMLTableRowElement} row @param {any} worker @param {any} queue */
function showWorker(row, worker, queue) {
  const [name, workflow, activities, cpu] = row.cells;
  const [status, build] = /** @type {HTMLElement} */ (name.lastElementChild).children;
  const silent = worker.status === "silent" ? ` for ${duration(worker.heartbeat_seconds_ago)}` : "";
  setText(status, worker.status + silent);
  setAttribute(status, "data-status", worker.status);
  const role =
    worker.build === queue.build ? " (current)" : worker.build === queue.ramping_build ? " (ramping)" : "";
  setText(build, worker.build ? `build ${worker.build.slice(0, 12)}${role}` : "no versioning");
  setAttribute(build, "title", worker.build);
  setText(workflow, slots(worker.workflow_slots));
  const used = worker.activity_slots.used + worker.local_activity_slots.used;
  setText(activities, slots({ used, of: worker.activity_slots.of + worker.local_activity_slots.of }));
  setText(cpu, `${Math.round(worker.cpu * 100)} %`);
}

/** @param {{used: number, of: number}} slots */
const slots = ({ used, of }) => `${used} of ${of}`;
