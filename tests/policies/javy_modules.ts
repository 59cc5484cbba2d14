/** `tests/policies/wasi-javascript` in its forms: as Javy builds it, as `reeve annotate` leaves it, and with Kubewarden's own package. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { withHostImport } from "../../cli/render/javy_import.ts";

/** The committed module, whose host call is imported from `kubewarden:javy/host`. */
export const JAVY_POLICY = fileURLToPath(new URL("wasi-javascript/policy.wasm", import.meta.url));

const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "portreeve");
const bytesOf = (file: string) => new Uint8Array(readFileSync(file));

/** One form of the policy. */
export interface JavyModule {
  readonly name: string;
  readonly file: string;
  /** Undefined where the module has not been built; `name` says how to. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
}

/** Built by `tests/tools/build_javy.sh` from the npm package, which not every registry has. */
function official(): JavyModule {
  const file = join(cache, "javy/official.wasm");
  return existsSync(file) ? { name: "with Kubewarden's package", file, bytes: bytesOf(file) } : {
    name: "with Kubewarden's package (sh tests/tools/build_javy.sh kubewarden-policy-sdk)",
    file,
    bytes: undefined,
  };
}

/** All forms. */
export function javyModules(): readonly JavyModule[] {
  const bytes = bytesOf(JAVY_POLICY);
  return [
    { name: "import from kubewarden:javy/host", file: JAVY_POLICY, bytes },
    {
      name: "import from host",
      file: JAVY_POLICY,
      bytes: withHostImport(bytes) as Uint8Array<ArrayBuffer>,
    },
    official(),
  ];
}

/** A Pod's admission request. */
export function podRequest(
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>> = {},
): Readonly<Record<string, unknown>> & { readonly object: Readonly<Record<string, unknown>> } {
  return {
    uid: "1",
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    namespace: "shop",
    operation: "CREATE",
    userInfo: { username: "alice" },
    object: { apiVersion: "v1", kind: "Pod", metadata: { name: "web", labels, annotations } },
  };
}
