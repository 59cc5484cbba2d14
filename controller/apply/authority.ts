/** The certificate authority in its Secret, and the bundle that clients trust (spec/controller.md §9). */
import { Buffer } from "node:buffer";
import { CA_SECRET } from "../render/names.ts";
import type { Secret } from "../types/objects.ts";
import { authorityProblem, type KeyPair } from "./certificates.ts";
import type { World } from "./world.ts";

export function decode(value: string | undefined): string {
  return Buffer.from(value ?? "", "base64").toString("utf8");
}

export function encode(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

/** The Secret of the authority; throws when it is missing or empty. */
function authoritySecret({ stores, settings }: World): Secret {
  const secret = stores.secrets.get(CA_SECRET, settings.namespace);
  if (secret === undefined) throw new Error(`failed to fetch CA secret: Secret "${CA_SECRET}" not found`);
  if ((secret.data?.["ca.crt"] ?? "") === "") {
    throw new Error(`failed to fetch CA secret: Secret "${CA_SECRET}" has no ca.crt`);
  }
  return secret;
}

/** The authority that signs. */
export function currentAuthority(world: World): KeyPair {
  const { data } = authoritySecret(world);
  return { cert: decode(data?.["ca.crt"]), key: decode(data?.["ca.key"]) };
}

/** Why there is no authority that signs and is trusted at `time`; undefined when there is one. */
export function missingAuthority({ stores, settings }: World, time: number): string | undefined {
  const { namespace } = settings;
  const secret = stores.secrets.get(CA_SECRET, namespace);
  if (secret === undefined) return `Secret ${CA_SECRET} does not exist in namespace ${namespace}`;
  const problem = authorityProblem(decode(secret.data?.["ca.crt"]), decode(secret.data?.["ca.key"]), time);
  return problem === undefined ? undefined : `Secret ${CA_SECRET} in namespace ${namespace}: ${problem}`;
}

/** Whether an outgoing authority is still trusted. */
export function hasOldAuthority({ stores, settings }: World): boolean {
  return (stores.secrets.get(CA_SECRET, settings.namespace)?.data?.["old-ca.crt"] ?? "") !== "";
}

/** Put together once for each version of the Secret: every webhook of every policy is compared with it. */
const bundles = new WeakMap<Secret, string>();

/** `caBundle` of every webhook: the current authority and, during a rotation, the outgoing one. Base64 of PEM. */
export function caBundle(world: World): string {
  const secret = authoritySecret(world);
  let bundle = bundles.get(secret);
  if (bundle === undefined) {
    const parts = [decode(secret.data?.["ca.crt"]), decode(secret.data?.["old-ca.crt"])].filter((part) =>
      part !== ""
    );
    bundle = encode(parts.map((part) => part.endsWith("\n") ? part : `${part}\n`).join(""));
    bundles.set(secret, bundle);
  }
  return bundle;
}
