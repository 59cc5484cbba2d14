/** A real registry (Debian's `docker-registry`) on a free port of the loopback, ended with the test. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const REGISTRY_BINARY = ["/usr/bin/docker-registry", "/usr/local/bin/docker-registry"].find(
  existsSync,
);
export const REGISTRY_MISSING = "skipped: apt-get install docker-registry";

export type TestRegistry = {
  /** `localhost:PORT`, as it is written in references. */
  readonly host: string;
  readonly directory: string;
  readonly stop: () => Promise<void>;
};

export type RegistryOptions = {
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
  if (REGISTRY_BINARY === undefined) throw new Error(REGISTRY_MISSING);
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
  const child = spawn(REGISTRY_BINARY, ["serve", await file("config.yml", JSON.stringify(config))], {
    stdio: ["ignore", "ignore", "pipe"],
  });
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
    throw new Error(`docker-registry did not start: ${errors}`, { cause: error });
  }
  return { host: `localhost:${port}`, directory, stop };
}
