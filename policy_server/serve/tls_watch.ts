/**
 * Reloads TLS material when its files change (spec/policy-server.md §11 rule 3, §19 row 12). Directories are watched, not files, because
 * Kubernetes replaces a volume's files by swapping a symbolic link; and as events get lost (network file systems, a full
 * queue, a directory that was replaced) the files are looked at every few seconds as well.
 */
import { type FSWatcher, realpathSync, statSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { Log } from "../apply/log.ts";
import {
  CERTS_LOG_TARGET,
  fingerprint,
  loadClientCas,
  loadServerPair,
  type TlsMaterial,
} from "../apply/tls_material.ts";
import type { TlsPaths } from "../types/options.ts";

/** How a watch behaves. */
export type TlsWatchSettings = {
  readonly log: Log;
  /** How often the files are looked at without an event, 5,000 ms unless given. */
  readonly pollMs?: number;
  /** How long the files must stay as they are before they are read, 100 ms unless given: writers take their time. */
  readonly settleMs?: number;
};

/** A running watch. It does not keep the process alive. */
export type TlsWatch = {
  /** Looks at the files now; resolves when what they ask for is done. */
  check(): Promise<void>;
  /** Ends the watch. */
  close(): void;
};

/** Writers that never pause must not put a reload off for ever. */
const MAX_SETTLE_ROUNDS = 50;
/** The link that Kubernetes swaps in a volume's directory. */
const VOLUME_LINK = "..data";

/**
 * Watches the files that `current` was loaded from and gives `onChange` new material for new connections. The server's
 * pair is reloaded only once certificate **and** key have changed since the last reload; any change of a client CA file
 * reloads all of these. What can't be loaded, or what `onChange` throws at, is logged, the old material stays in use, and
 * the next change is tried again.
 */
export function watchTlsMaterial(
  paths: TlsPaths,
  current: TlsMaterial,
  onChange: (material: TlsMaterial) => void | Promise<void>,
  { log, pollMs = 5000, settleMs = 100 }: TlsWatchSettings,
): TlsWatch {
  const files = [...new Set([paths.certFile, paths.keyFile, ...paths.clientCaFiles])];
  const seen = new Map([...current.server.fingerprints, ...current.clientCas?.fingerprints ?? []]);
  const pending = new Set<string>();
  /** By directory and inode: a directory that was replaced needs a new watch. */
  const watchers = new Map<string, FSWatcher>();
  const place = { target: CERTS_LOG_TARGET };
  let material = current;
  let closed = false;
  let running: Promise<void> | undefined;
  let again = false;

  const wait = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms).unref());
  const look = () => new Map(files.map((file) => [file, fingerprint(file)]));

  /** The files' state once it has stopped changing. */
  async function settled(): Promise<ReadonlyMap<string, string | undefined>> {
    let before = look();
    for (let round = 0; round < MAX_SETTLE_ROUNDS; round++) {
      await wait(settleMs);
      const after = look();
      if (files.every((file) => before.get(file) === after.get(file))) return after;
      before = after;
    }
    return before;
  }

  /** Loads one part and hands the whole on; `false` where that failed. */
  async function attempt(load: () => Partial<TlsMaterial>): Promise<boolean> {
    try {
      const part = load();
      const next = { ...material, ...part };
      await onChange(next);
      material = next;
      // What was loaded may be newer than what was seen.
      for (const loaded of [part.server, part.clientCas]) {
        loaded?.fingerprints.forEach((mark, file) => seen.set(file, mark));
      }
      return true;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.error(`Failed to reload TLS certificates: ${reason}`, {}, place);
      return false;
    }
  }

  async function reloadServer(changed: ReadonlySet<string>): Promise<void> {
    const { certFile, keyFile } = paths;
    if (changed.has(certFile)) log.info("TLS certificate file has been modified", {}, place);
    if (changed.has(keyFile)) log.info("TLS key file has been modified", {}, place);
    for (const file of [certFile, keyFile]) if (changed.has(file)) pending.add(file);
    const due = (changed.has(certFile) || changed.has(keyFile)) && pending.has(certFile) &&
      pending.has(keyFile);
    if (!due) return;
    log.info("Reloading Server TLS certificates", {}, place);
    // After a failure both stay marked, so that the one file which was wrong needs to be written again, not both.
    if (await attempt(() => ({ server: loadServerPair(paths) }))) pending.clear();
  }

  async function reloadClientCas(changed: ReadonlySet<string>): Promise<void> {
    const modified = paths.clientCaFiles.filter((file) => changed.has(file));
    if (modified.length === 0) return;
    for (const _file of modified) log.info("TLS client CA file has been modified", {}, place);
    log.info("Reloading client CA certificates", {}, place);
    await attempt(() => ({ clientCas: loadClientCas(paths.clientCaFiles, log) }));
  }

  async function lookAndReload(): Promise<void> {
    if (!files.some((file) => differs(file, fingerprint(file)))) return;
    const state = await settled();
    const changed = new Set(files.filter((file) => differs(file, state.get(file))));
    for (const file of changed) seen.set(file, state.get(file) ?? "");
    if (!closed) await reloadServer(changed);
    if (!closed) await reloadClientCas(changed);
  }

  /** A file that is away for the moment has not changed: its successor will be there soon. */
  function differs(file: string, mark: string | undefined): boolean {
    return mark !== undefined && mark !== seen.get(file);
  }

  function check(): Promise<void> {
    again = true;
    running ??= (async () => {
      while (again && !closed) {
        again = false;
        await lookAndReload();
        arm();
      }
    })().finally(() => running = undefined);
    return running;
  }

  /** Watches the directories that hold the files now, by the names given and by where links lead. */
  function arm(): void {
    if (closed) return;
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
  }

  function forget(key: string): void {
    watchers.get(key)?.close();
    watchers.delete(key);
  }

  function open(key: string, directory: string, names: ReadonlySet<string>): void {
    try {
      const watcher = watch(directory, { persistent: false }, (_event, name) => {
        if (name === null || names.has(name)) void check();
      });
      // The poll arms it again.
      watcher.on("error", () => forget(key));
      watchers.set(key, watcher);
    } catch (error) {
      log.debug(`cannot watch directory "${directory}"`, { error: String(error) }, place);
    }
  }

  const poll = setInterval(() => void check(), pollMs);
  poll.unref();
  arm();
  // Whatever was written between the loading of `current` and now.
  void check();
  return {
    check,
    close() {
      closed = true;
      clearInterval(poll);
      for (const watcher of watchers.values()) watcher.close();
      watchers.clear();
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
