/** Runs something now and whenever files change: `build --watch`, `test --watch`. */
import { existsSync, type FSWatcher, lstatSync, readdirSync, watch } from "node:fs";
import { basename, join, resolve } from "node:path";
import process from "node:process";
import { sleep } from "../../program/apply/sleep.ts";
import { CliError, type Context } from "../types/command.ts";

/** Editors write a file in several steps. */
const SETTLE_MS = 50;

/**
 * Where the system itself watches all that is below a folder. Elsewhere Node watches each file, and up to Node 24 none that was
 * replaced by a rename, as many editors save: there each folder is watched.
 */
const WATCHES_TREES = process.platform === "darwin" || process.platform === "win32";
/** Nothing in them is a reason to run, and they hold thousands of folders. */
const UNWATCHED: ReadonlySet<string> = new Set(["node_modules", ".git"]);

/** Folders that are watched until they are closed. */
export class WatchedFolders {
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #matters: (path: string) => boolean;
  #wake = () => {};

  /** `matters` says which files' changes count. */
  constructor(matters: (path: string) => boolean) {
    this.#matters = matters;
  }

  /** Watches a folder too, if it is there, and what is below it where `recursive`. One that goes away counts as a change. */
  add(folder: string, recursive: boolean): void {
    if (this.#watchers.has(folder) || !existsSync(folder)) return;
    this.#watch(folder, recursive);
    if (recursive && !WATCHES_TREES) this.#watchBelow(folder);
  }

  #watch(folder: string, recursive: boolean): void {
    this.#watchers.get(folder)?.close();
    const watcher = watch(folder, { recursive: recursive && WATCHES_TREES }, (event, name) => {
      if (name === null) return this.#wake();
      const path = resolve(folder, name);
      if (this.#matters(path)) this.#wake();
      if (event === "rename" && recursive && !WATCHES_TREES) this.#watchNew(path);
    });
    watcher.on("error", () => {
      this.#watchers.delete(folder);
      this.#wake();
    });
    this.#watchers.set(folder, watcher);
  }

  /** Watches the folders in a folder, and those in them. Whether it holds a file that matters. */
  #watchBelow(folder: string): boolean {
    let matters = false;
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (!entry.isDirectory()) matters ||= this.#matters(path);
      else if (this.#watchNew(path)) matters = true;
    }
    return matters;
  }

  /** Watches what appeared, if it is a folder: it may hold files that were there before it was watched. */
  #watchNew(path: string): boolean {
    if (UNWATCHED.has(basename(path))) return false;
    try {
      if (!lstatSync(path).isDirectory()) return false;
      this.#watch(path, true);
      const matters = this.#watchBelow(path);
      if (matters) this.#wake();
      return matters;
    } catch (error) {
      // It went away again, or is not for this user to read.
      if (/^E(NOENT|NOTDIR|ACCES|PERM)$/.test(String((error as NodeJS.ErrnoException).code))) return false;
      throw error;
    }
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
      await sleep(SETTLE_MS, signal);
    }
    return 0;
  } finally {
    folders.close();
  }
}
