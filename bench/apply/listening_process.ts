/** Finds the process behind an address of this machine (Linux), so that a server that runs already shows its memory too. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const LISTENING = "0A";

/** The process that listens on `url`'s port, if it is on this machine and can be seen. */
export function listeningProcess(url: string): number | undefined {
  const { hostname, port, protocol } = new URL(url);
  if (!["localhost", "127.0.0.1", "[::1]"].includes(hostname)) return undefined;
  const wanted = Number(port || (protocol === "https:" ? 443 : 80));
  const inodes = new Set(
    ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((file) =>
      lines(file).map((line) => line.trim().split(/\s+/))
        .filter(([, local, , state]) =>
          state === LISTENING && parseInt(local?.split(":").at(-1) ?? "", 16) === wanted
        )
        .map((fields) => `socket:[${fields[9]}]`)
    ),
  );
  const pid = list("/proc").filter((name) => /^\d+$/.test(name)).find((name) =>
    list(`/proc/${name}/fd`).some((fd) => {
      try {
        return inodes.has(readlinkSync(`/proc/${name}/fd/${fd}`));
      } catch {
        return false; // closed meanwhile
      }
    })
  );
  return pid === undefined ? undefined : Number(pid);
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch {
    return []; // not Linux
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // ended meanwhile, or another user's
  }
}
