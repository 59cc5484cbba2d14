/** The field's tools and registries around `reeve`: what the tests of reading each other's artifacts need. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { COSIGN_2_MISSING, COSIGN_MISSING, COSIGN_THERE } from "../artifact/_cosign.ts";
import {
  type RegistryKind,
  registryMissing,
  type RegistryOptions,
  startRegistry,
  type TestRegistry,
} from "../artifact/_registry.ts";
import { builtTool, runTool } from "../artifact/_tools.ts";
import { inPlace, POLICY, root, type TestPlace } from "./place.ts";

export const ORAS = builtTool("oras");
export const policy = readFileSync(POLICY);
export const LAYER = "application/vnd.wasm.content.layer.v1+wasm";

export const missing: readonly string[] = [
  ...(ORAS.binary === undefined ? [ORAS.missing] : []),
  ...(COSIGN_THERE ? [] : [COSIGN_MISSING]),
  ...(COSIGN_2_MISSING === undefined ? [] : [COSIGN_2_MISSING]),
];

export type Setting = TestPlace & {
  readonly registry: TestRegistry;
  readonly host: string;
  readonly oras: (...args: readonly string[]) => Promise<string>;
};

/** A place, a registry of the kind, and the policy in a file. */
export async function withRegistry(
  kind: RegistryKind,
  run: (at: Setting) => Promise<void>,
  options: RegistryOptions = {},
): Promise<void> {
  const registry = await startRegistry({ ...options, kind });
  try {
    await inPlace(async (place) => {
      const { host } = registry;
      trust(place, host);
      place.file("policy.wasm", policy);
      place.file("other.wasm", readFileSync(join(root, "policies/required-labels/policy.wasm")));
      const oras = (...args: readonly string[]) => runTool(ORAS, place.cwd, args);
      await run({ ...place, registry, host, oras });
    });
  } finally {
    await registry.stop();
  }
}

export function trust(place: TestPlace, ...hosts: readonly string[]): void {
  place.file("../home/.config/kubewarden/sources.yaml", `insecure_sources: ${JSON.stringify(hosts)}\n`);
}

/** Pushes a file with reeve; answers the reference by digest. */
export async function pushed({ reeve }: TestPlace, file: string, reference: string): Promise<string> {
  const { exit, stdout, stderr } = await reeve("push", "--force", "-o", "json", file, reference);
  assert.is(exit, 0, stderr);
  return (JSON.parse(stdout) as { immutable_ref: string }).immutable_ref;
}

/**
 * What a test on a registry needs that is not there is said in its name.
 *
 * @param lackingToo what else is not there, by how to get it
 */
export function onRegistry(
  kind: RegistryKind,
  lackingToo: readonly string[] = [],
  options: RegistryOptions = {},
): (what: string, run: (at: Setting) => Promise<void>) => void {
  const lacking = [
    ...missing,
    ...[registryMissing(kind)].filter((text) => text !== undefined),
    ...lackingToo,
  ];
  return (what, run) =>
    lacking.length > 0
      ? test.skip(`${kind}: ${what} (${lacking.join("; ")})`, () => {})
      : void test(`${kind}: ${what}`, () => withRegistry(kind, run, options));
}
