/**
 * Notices that files may have changed. Directories are watched, not files, because Kubernetes replaces a volume's files by swapping a
 * symbolic link. Events get lost (network file systems, a full queue, a directory that was replaced): whoever needs to know looks at
 * the files now and then.
 */
import { type FSWatcher, realpathSync, statSync, watch } from "node:fs";
import { basename, dirname } from "node:path";

/** The link that Kubernetes swaps in a volume's directory. */
const VOLUME_LINK = "..data";

/** A running watch. It does not keep the process alive. */
export interface DirectoryWatch {
  /** Watches the directories that hold the files now, by the names given and by where links lead. */
  arm(): void;
  close(): void;
}

/**
 * Watches nothing until it is armed.
 *
 * @param onError called with a directory that can't be watched
 */
export function directoryWatch(
  files: readonly string[],
  onEvent: () => void,
  onError: (directory: string, error: unknown) => void,
): DirectoryWatch {
  /** By directory and inode: a directory that was replaced needs a new watch. */
  const watchers = new Map<string, FSWatcher>();

  function open(key: string, directory: string, names: ReadonlySet<string>): void {
    try {
      const watcher = watch(directory, { persistent: false }, (_event, name) => {
        if (name === null || names.has(name)) onEvent();
      });
      // It is opened again when the watch is armed next.
      watcher.on("error", () => forget(key));
      watchers.set(key, watcher);
    } catch (error) {
      onError(directory, error);
    }
  }

  function forget(key: string): void {
    watchers.get(key)?.close();
    watchers.delete(key);
  }

  return {
    arm() {
      const names = new Set([VOLUME_LINK]);
      const directories = new Map<string, string>();
      for (const file of files) {
        for (const path of [file, resolved(file)]) {
          names.add(basename(path));
          directories.set(watchKey(dirname(path)), dirname(path));
        }
      }
      for (const key of watchers.keys()) if (!directories.has(key)) forget(key);
      for (const [key, directory] of directories) if (!watchers.has(key)) open(key, directory, names);
    },
    close() {
      for (const key of watchers.keys()) forget(key);
    },
  };
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
