/** Where each command lives; it is loaded only when it is called. */
import type { Run } from "../types/command.ts";

type Loader = () => Promise<{ readonly run: Run }>;

/** By the command's words, joined by a blank. */
export const LOADERS: Readonly<Record<string, Loader>> = {
  run: () => import("./run.ts"),
};
