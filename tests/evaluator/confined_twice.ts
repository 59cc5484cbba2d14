/** A thread that is confined twice, as one is that is used again. */
import { parentPort } from "node:worker_threads";
import { confineThread } from "../../evaluator/apply/confine.ts";

const post = parentPort!.postMessage.bind(parentPort);
confineThread();
confineThread();
post("confined");
