/** Ends the node that `up.ts` started. */
import { stopNode } from "./node.ts";

await stopNode();
