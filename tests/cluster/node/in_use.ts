/** One test at a time has the node: two that install and uninstall on it would fail in each other's name. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { NODE_FOLDER } from "./processes.ts";

const FILE = `${NODE_FOLDER}.in-use`;

/** The process that has the node, if it still runs. */
function holder(): number | undefined {
  try {
    const pid = Number(readFileSync(FILE, "utf8"));
    process.kill(pid, 0);
    return pid;
  } catch {
    return undefined;
  }
}

/**
 * Takes the node for this process, until it ends or gives it back.
 *
 * @throws when another process has it
 */
export function takeNode(): { readonly giveBack: () => void } {
  const other = holder();
  if (other !== undefined && other !== process.pid) {
    throw new Error(`process ${other} is using the node; wait for its end, or end it`);
  }
  rmSync(FILE, { force: true });
  // Of two that come at once the second one fails here.
  writeFileSync(FILE, String(process.pid), { flag: "wx" });
  return { giveBack: () => rmSync(FILE, { force: true }) };
}
