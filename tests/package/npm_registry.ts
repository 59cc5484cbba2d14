/** A registry of npm on this machine, which has just what is installed in the checkout, in the versions that are. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { ROOT } from "./consumer.ts";

export interface NpmRegistry {
  readonly url: string;
  /** The packages that were asked for. */
  readonly asked: ReadonlySet<string>;
  stop(): Promise<void>;
}

/** Starts it. `folder` is for the packages. */
export async function startNpmRegistry(folder: string): Promise<NpmRegistry> {
  const asked = new Set<string>();
  const server = createServer((request, response) => {
    const [, name, tarball] = /^\/(.+?)(\/-\/.*)?$/.exec(decodeURIComponent(request.url!)) ?? [];
    asked.add(name ?? "");
    const installed = join(ROOT, "node_modules", name ?? "");
    if (name === undefined || !existsSync(join(installed, "package.json"))) {
      response.writeHead(404).end('{"error":"not found"}');
      return;
    }
    if (tarball !== undefined) {
      const { stdout } = spawnSync(
        "npm",
        ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder, installed],
        { encoding: "utf8", cwd: folder },
      );
      response.end(readFileSync(join(folder, stdout.trim())));
      return;
    }
    const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
    const { version } = manifest;
    const dist = { tarball: `${url}/${name}/-/${version}.tgz` };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({
      name,
      "dist-tags": { latest: version },
      versions: { [version]: { ...manifest, dist } },
    }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    asked,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
