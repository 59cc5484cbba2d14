/**
 * Reloads TLS material when its files change (spec/policy-server.md §11 rule 3, §19 row 12): when their directories tell of it, and as
 * events get lost, every few seconds as well.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "../apply/log.ts";
import {
  CERTS_LOG_TARGET,
  fingerprint,
  loadClientCas,
  loadServerPair,
  type TlsMaterial,
} from "../apply/tls_material.ts";
import type { TlsPaths } from "../types/options.ts";
import { type DirectoryWatch, directoryWatch } from "./directory_watch.ts";

/** How a watch behaves. */
export type TlsWatchSettings = {
  readonly log: Log;
  /** How often the files are looked at without an event, 5,000 ms unless given. */
  readonly pollMs?: number;
  /** How long the files must stay as they are before they are read, 100 ms unless given: writers take their time. */
  readonly settleMs?: number;
};

/** Writers that never pause must not put a reload off for ever. */
const MAX_SETTLE_ROUNDS = 50;
const PLACE = { target: CERTS_LOG_TARGET };

/**
 * Watches the files that `current` was loaded from and gives `onChange` new material for new connections. The server's
 * pair is reloaded only once certificate **and** key have changed since the last reload; any change of a client CA file
 * reloads all of these. What can't be loaded, or what `onChange` throws at, is logged, the old material stays in use, and
 * the next change is tried again. It does not keep the process alive.
 */
export class TlsWatch {
  readonly #paths: TlsPaths;
  readonly #onChange: (material: TlsMaterial) => void | Promise<void>;
  readonly #log: Log;
  readonly #settleMs: number;
  readonly #files: readonly string[];
  readonly #directories: DirectoryWatch;
  readonly #poll: NodeJS.Timeout;
  #material: TlsMaterial;
  /** What {@link fingerprint} said of each file that was taken notice of. */
  readonly #seen: Map<string, string>;
  /** Which files of the server's pair have changed since it was last reloaded. */
  readonly #pending = new Set<string>();
  #running: Promise<void> | undefined;
  #again = false;
  #closed = false;

  constructor(
    paths: TlsPaths,
    current: TlsMaterial,
    onChange: (material: TlsMaterial) => void | Promise<void>,
    { log, pollMs = 5000, settleMs = 100 }: TlsWatchSettings,
  ) {
    this.#paths = paths;
    this.#material = current;
    this.#onChange = onChange;
    this.#log = log;
    this.#settleMs = settleMs;
    this.#files = [...new Set([paths.certFile, paths.keyFile, ...paths.clientCaFiles])];
    this.#seen = new Map([...current.server.fingerprints, ...current.clientCas?.fingerprints ?? []]);
    this.#directories = directoryWatch(
      this.#files,
      () => void this.check(),
      (directory, error) =>
        log.debug(`cannot watch directory "${directory}"`, { error: String(error) }, PLACE),
    );
    this.#poll = setInterval(() => void this.check(), pollMs).unref();
    this.#directories.arm();
    // Whatever was written between the loading of `current` and now.
    void this.check();
  }

  /** Looks at the files now; resolves when what they ask for is done. */
  check(): Promise<void> {
    this.#again = true;
    return this.#running ??= this.#checkAll().finally(() => this.#running = undefined);
  }

  /** Ends the watch. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#poll);
    this.#directories.close();
  }

  async #checkAll(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      await this.#lookAndReload();
      if (!this.#closed) this.#directories.arm();
    }
  }

  async #lookAndReload(): Promise<void> {
    if (!this.#files.some((file) => this.#differs(file, fingerprint(file)))) return;
    const state = await this.#settled();
    const changed = new Set(this.#files.filter((file) => this.#differs(file, state.get(file))));
    for (const file of changed) this.#seen.set(file, state.get(file) ?? "");
    if (!this.#closed) await this.#reloadServer(changed);
    if (!this.#closed) await this.#reloadClientCas(changed);
  }

  /** A file that is away for the moment has not changed: its successor will be there soon. */
  #differs(file: string, mark: string | undefined): boolean {
    return mark !== undefined && mark !== this.#seen.get(file);
  }

  /** The files' state once it has stopped changing. */
  async #settled(): Promise<ReadonlyMap<string, string | undefined>> {
    const look = () => new Map(this.#files.map((file) => [file, fingerprint(file)]));
    let before = look();
    for (let round = 0; round < MAX_SETTLE_ROUNDS; round++) {
      await delay(this.#settleMs, undefined, { ref: false });
      const after = look();
      if (this.#files.every((file) => before.get(file) === after.get(file))) return after;
      before = after;
    }
    return before;
  }

  async #reloadServer(changed: ReadonlySet<string>): Promise<void> {
    const { certFile, keyFile } = this.#paths;
    if (changed.has(certFile)) this.#log.info("TLS certificate file has been modified", {}, PLACE);
    if (changed.has(keyFile)) this.#log.info("TLS key file has been modified", {}, PLACE);
    for (const file of [certFile, keyFile]) if (changed.has(file)) this.#pending.add(file);
    const due = (changed.has(certFile) || changed.has(keyFile)) && this.#pending.has(certFile) &&
      this.#pending.has(keyFile);
    if (!due) return;
    this.#log.info("Reloading Server TLS certificates", {}, PLACE);
    // After a failure both stay marked, so that the one file which was wrong needs to be written again, not both.
    if (await this.#reload(() => ({ server: loadServerPair(this.#paths) }))) this.#pending.clear();
  }

  async #reloadClientCas(changed: ReadonlySet<string>): Promise<void> {
    const { clientCaFiles } = this.#paths;
    const modified = clientCaFiles.filter((file) => changed.has(file));
    if (modified.length === 0) return;
    for (const _file of modified) this.#log.info("TLS client CA file has been modified", {}, PLACE);
    this.#log.info("Reloading client CA certificates", {}, PLACE);
    await this.#reload(() => ({ clientCas: loadClientCas(clientCaFiles, this.#log) }));
  }

  /** Loads one part and hands the whole on; `false` where that failed. */
  async #reload(load: () => Partial<TlsMaterial>): Promise<boolean> {
    try {
      const part = load();
      const next = { ...this.#material, ...part };
      await this.#onChange(next);
      this.#material = next;
      // What was loaded may be newer than what was seen.
      for (const loaded of [part.server, part.clientCas]) {
        loaded?.fingerprints.forEach((mark, file) => this.#seen.set(file, mark));
      }
      return true;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#log.error(`Failed to reload TLS certificates: ${reason}`, {}, PLACE);
      return false;
    }
  }
}
