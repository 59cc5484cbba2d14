/** A TUF repository with one target, signed by one Ed25519 key, as a map of path to content. */
import { createHash, generateKeyPairSync, sign } from "node:crypto";

const DAY = 86_400_000;

/** OLPC's canonical JSON, for the strings and integers that occur here. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${
    Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) =>
      `${JSON.stringify(key)}:${canonical(item)}`
    )
      .join(",")
  }}`;
}

export function createTufRepository(target: string, content: string) {
  const keys = generateKeyPairSync("ed25519");
  const publicKey = keys.publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("hex");
  const key = { keytype: "ed25519", scheme: "ed25519", keyval: { public: publicKey } };
  const keyid = createHash("sha256").update(canonical(key)).digest("hex");
  const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

  /** @param expiresIn milliseconds from now for timestamp, snapshot and targets */
  function files(
    version: number,
    expiresIn = DAY,
  ): { readonly root: string; readonly served: Map<string, string> } {
    const expires = (ms: number) => new Date(Date.now() + ms).toISOString().replace(/\.\d+Z$/, "Z");
    const signed = (part: Record<string, unknown>) => {
      const whole = { spec_version: "1.0.31", version, expires: expires(expiresIn), ...part };
      const sig = sign(null, Buffer.from(canonical(whole)), keys.privateKey).toString("hex");
      return JSON.stringify({ signatures: [{ keyid, sig }], signed: whole });
    };
    const role = { keyids: [keyid], threshold: 1 };
    const root = signed({
      _type: "root",
      version: 1,
      expires: expires(300 * DAY),
      consistent_snapshot: true,
      keys: { [keyid]: key },
      roles: { root: role, timestamp: role, snapshot: role, targets: role },
    });
    const hash = sha256(content);
    const targets = signed({
      _type: "targets",
      targets: { [target]: { length: content.length, hashes: { sha256: hash } } },
    });
    const snapshot = signed({ _type: "snapshot", meta: { "targets.json": { version } } });
    const timestamp = signed({ _type: "timestamp", meta: { "snapshot.json": { version } } });
    return {
      root,
      served: new Map([
        ["/timestamp.json", timestamp],
        [`/${version}.snapshot.json`, snapshot],
        [`/${version}.targets.json`, targets],
        [`/targets/${hash}.${target}`, content],
      ]),
    };
  }
  return files;
}
