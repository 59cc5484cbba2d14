/**
 * Notices that files may have changed. Directories are watched, not files, because Kubernetes replaces a volume's files by swapping a
 * symbolic link. Events get lost (network file systems, a full queue, a directory that was replaced): whoever needs to know looks at
 * the files now and then.
 */
import { type FSWatcher, realpathSync, statSync, watch } from "node:fs";
import { basename, dirname } from "node:path";

/** The link that Kubernetes swaps in a volume's directory. */
const VOLUME_LINK = "..data";

/** Watches the directories that hold some files. It does not keep the process alive. */
export class DirectoryWatch {
  readonly #files: readonly string[];
  readonly #onEvent: () => void;
  readonly #onError: (directory: string, error: unknown) => void;
  /** By directory and inode: a directory that was replaced needs a new watch. */
  readonly #watchers = new Map<string, FSWatcher>();

  /** @param onError called with a directory that can't be watched */
  constructor(
    files: readonly string[],
    onEvent: () => void,
    onError: (directory: string, error: unknown) => void,
  ) {
    this.#files = files;
    this.#onEvent = onEvent;
    this.#onError = onError;
  }

  /** Watches the directories that hold the files now, by the names given and by where links lead. */
  arm(): void {
    const names = new Set([VOLUME_LINK]);
    const directories = new Map<string, string>();
    for (const file of this.#files) {
      for (const path of [file, resolved(file)]) {
        names.add(basename(path));
        directories.set(watchKey(dirname(path)), dirname(path));
      }
    }
    for (const key of this.#watchers.keys()) if (!directories.has(key)) this.#forget(key);
    for (const [key, directory] of directories) {
      if (!this.#watchers.has(key)) this.#open(key, directory, names);
    }
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #open(key: string, directory: string, names: ReadonlySet<string>): void {
    try {
      const watcher = watch(directory, { persistent: false }, (_event, name) => {
        if (name === null || names.has(name)) this.#onEvent();
      });
      // It is opened again when the watch is armed next.
      watcher.on("error", () => this.#forget(key));
      this.#watchers.set(key, watcher);
    } catch (error) {
      this.#onError(directory, error);
    }
  }

  #forget(key: string): void {
    this.#watchers.get(key)?.close();
    this.#watchers.delete(key);
  }
}

function watchKey(directory: string): string {
  try {
    return `${directory} ${statSync(directory).ino}`;
  } catch {
    return directory;
  }
}

function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
