/**
 * A worker thread as no guest can make it: it ends, or does nothing for a while without looking at its clock, when it is to judge
 * a request that says so.
 */
import process from "node:process";
import { workerData } from "node:worker_threads";
import { Engine } from "../../evaluator/apply/engine.ts";
import serve from "../../evaluator/apply/worker.ts";

const decoder = new TextDecoder();
const exit = process.exit.bind(process);
const run = Engine.prototype.run;

/** Longer than it takes the pool to replace a thread. */
const STUCK_MS = 20_000;

Engine.prototype.run = function (id, operation, request) {
  const text = request ? decoder.decode(request.json) : "";
  if (text.includes("END THE THREAD")) exit(1);
  if (text.includes("GET STUCK")) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STUCK_MS);
  return run.call(this, id, operation, request);
};

void serve(workerData);
