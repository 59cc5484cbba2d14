/** Runs something now and whenever files change: `build --watch`, `test --watch`. */
import { existsSync, type FSWatcher, watch } from "node:fs";
import { resolve } from "node:path";
import { CliError, type Context } from "../types/command.ts";

/** Editors write a file in several steps. */
const SETTLE_MS = 50;

/** Folders that are watched until they are closed. */
export class WatchedFolders {
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #matters: (path: string) => boolean;
  #wake = () => {};

  /** `matters` says which files' changes count. */
  constructor(matters: (path: string) => boolean) {
    this.#matters = matters;
  }

  /** Watches a folder too, if it is there. One that goes away counts as a change. */
  add(folder: string, recursive: boolean): void {
    if (this.#watchers.has(folder) || !existsSync(folder)) return;
    const watcher = watch(folder, { recursive }, (_event, name) => {
      if (name === null || this.#matters(resolve(folder, name))) this.#wake();
    });
    watcher.on("error", () => {
      this.#watchers.delete(folder);
      this.#wake();
    });
    this.#watchers.set(folder, watcher);
  }

  /** Resolves with the first change from now on, or when `signal` fires. */
  change(signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#wake = resolve;
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
  }
}

/**
 * Runs `work` now and after each change, until interrupted, or until nobody reads the output. A {@link CliError} of it is shown, and
 * ends nothing. Closes `folders` at the end. Resolves to the exit code: 0 where
 * it was interrupted, else how the last run went, by what `work` says of it.
 */
export async function repeatOnChange(
  context: Context,
  folders: WatchedFolders,
  work: () => Promise<boolean>,
): Promise<0 | 1> {
  const { signal } = context;
  let right = false;
  try {
    while (!signal.aborted) {
      const changed = folders.change(signal);
      try {
        right = await work();
      } catch (error) {
        if (!(error instanceof CliError)) throw error;
        right = false;
        context.err(`Error: ${error.message}\n`);
      }
      context.err("waiting for changes…\n");
      if (context.outputRead?.() === false) return right ? 0 : 1;
      await changed;
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    }
    return 0;
  } finally {
    folders.close();
  }
}
