/** Real registries on a free port of the loopback, ended with the test: Debian's `docker-registry` and those built from Go modules. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtTool } from "./_tools.ts";

export const REGISTRY_BINARY = ["/usr/bin/docker-registry", "/usr/local/bin/docker-registry"].find(
  existsSync,
);
export const REGISTRY_MISSING = "skipped: apt-get install docker-registry";

/** What each kind of registry is started with, and how to get it. */
const KINDS = {
  "docker-registry 2": { binary: REGISTRY_BINARY, missing: REGISTRY_MISSING },
  "distribution 3": builtTool("distribution"),
  /** In memory, with the referrers API. */
  "go-containerregistry": builtTool("referrers_registry"),
  ociregistry: builtTool("referrers_registry"),
  "ociregistry as ECR": builtTool("referrers_registry"),
} as const;

export type RegistryKind = keyof typeof KINDS;

export const REGISTRY_KINDS = Object.keys(KINDS) as readonly RegistryKind[];

/** How to get a registry that is not there; undefined: it is. */
export function registryMissing(kind: RegistryKind): string | undefined {
  return KINDS[kind].binary === undefined ? KINDS[kind].missing : undefined;
}

export type TestRegistry = {
  /** `localhost:PORT`, as it is written in references. */
  readonly host: string;
  readonly directory: string;
  readonly stop: () => Promise<void>;
};

export type RegistryOptions = {
  /** Default: `docker-registry 2`. The other options are for this one and `distribution 3`. */
  readonly kind?: RegistryKind;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Content of an htpasswd file (bcrypt). */
  readonly htpasswd?: string;
  readonly token?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    readonly bundle: string;
  };
};

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => typeof address === "object" && address !== null ? resolve(address.port) : reject());
    });
  });
}

async function listening(port: number, ended: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 400 && !ended(); attempt++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`nothing listens on port ${port}`);
}

export async function startRegistry(options: RegistryOptions = {}): Promise<TestRegistry> {
  const { kind = "docker-registry 2" } = options;
  const { binary, missing } = KINDS[kind];
  if (binary === undefined) throw new Error(missing);
  const directory = await mkdtemp(join(tmpdir(), "portreeve-registry-"));
  const port = await freePort();
  const file = async (name: string, content: string) => {
    const path = join(directory, name);
    await writeFile(path, content);
    return path;
  };
  const config: Record<string, unknown> = {
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(directory, "data") }, delete: { enabled: true } },
    http: {
      addr: `127.0.0.1:${port}`,
      secret: "tests",
      ...(options.tls === undefined ? {} : {
        tls: {
          certificate: await file("cert.pem", options.tls.cert),
          key: await file("key.pem", options.tls.key),
        },
      }),
    },
    ...(options.htpasswd === undefined
      ? {}
      : { auth: { htpasswd: { realm: "tests", path: await file("htpasswd", options.htpasswd) } } }),
    ...(options.token === undefined ? {} : {
      auth: {
        token: {
          realm: options.token.realm,
          service: options.token.service,
          issuer: options.token.issuer,
          rootcertbundle: await file("bundle.pem", options.token.bundle),
        },
      },
    }),
  };
  const words = binary.endsWith("referrers_registry")
    ? [kind.replaceAll(" ", "-"), `127.0.0.1:${port}`]
    : ["serve", await file("config.yml", JSON.stringify(config))];
  const child = spawn(binary, words, { stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr.on("data", (piece) => errors = `${errors}${piece}`.slice(-4000));
  const exited = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  let ended = false;
  void exited.then(() => ended = true);
  const stop = async () => {
    child.kill("SIGKILL");
    await exited;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await listening(port, () => ended);
  } catch (error) {
    await stop();
    throw new Error(`${kind} did not start: ${errors}`, { cause: error });
  }
  return { host: `localhost:${port}`, directory, stop };
}
