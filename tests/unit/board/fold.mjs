// Reads orders, a line each, and writes what the board makes of their events:
//     node fold.mjs FOLDER_OF_THE_BOARD HISTORY_JS ... < ORDERS
// A line is a fold of all orders by one of the modules, the last one the orders' timelines.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const { lanesOf } = await import(new URL("timeline.js", folder));
const orders = [];
for await (const line of createInterface({ input: process.stdin })) orders.push(JSON.parse(line));
for (const name of process.argv.slice(3)) {
  const { at, addressAt } = await import(new URL(name, folder));
  const folds = orders.map((order) =>
    order.events.map((_, index) => {
      const moment = at(order.events, index);
      return [moment.state, addressAt(order, moment), moment.payment];
    }),
  );
  console.log(JSON.stringify(folds));
}
const scene = { steps: {}, open: false, now: 0, deadline: 15 };
console.log(JSON.stringify(orders.map(({ events }) => lanesOf({ ...scene, events }))));
