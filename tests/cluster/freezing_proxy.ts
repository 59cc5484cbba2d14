/** A TCP proxy on loopback whose links can be frozen: nothing passes, nothing is closed, as when a network drops packets. */
import { connect, createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

export type FreezingProxy = {
  readonly port: number;
  /** From now on nothing passes, in either direction; connections are accepted and stay silent. */
  freeze(): void;
  /** What was held back passes on, as when a network comes back. */
  thaw(): void;
  stop(): Promise<void>;
};

/** Starts a proxy to a port of this machine. */
export async function startFreezingProxy(target: number): Promise<FreezingProxy> {
  const sockets = new Set<Socket>();
  let frozen = false;
  const server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.add(from);
      from.on("data", (bytes: Uint8Array) => void to.write(bytes));
      from.on("end", () => to.end());
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      from.on("error", () => to.destroy());
      if (frozen) from.pause();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    freeze() {
      frozen = true;
      for (const socket of sockets) socket.pause();
    },
    thaw() {
      frozen = false;
      for (const socket of sockets) socket.resume();
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
