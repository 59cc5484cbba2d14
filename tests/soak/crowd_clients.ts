/**
 * The clients of a crowd, as a process of their own, so that neither the server nor who checks its answers waits for them.
 * Each opens a connection, does the same thing with it again and again, and comes back a while after the connection was closed.
 * Started by crowd.ts with the server's port and how many there are; ends when it is killed, or its parent is gone.
 */
import type { Socket } from "node:net";
import { constants, setPriority } from "node:os";
import process from "node:process";
import { sleep } from "../../program/apply/sleep.ts";
import type { CrowdCounts } from "./crowd.ts";
import { closed, head, type Open, reset, resettable, tcp, tls, whole } from "./sockets.ts";

/** No connection is held for longer, in milliseconds, whatever the server does. */
const MAX_CONNECTION_MS = 60_000;
/** The first connections are made within this time, and after each a client rests for so long on average. */
const REST_MS = 10_000;
const SLOW_PIECE_MS = 2_000;
const BODY_BYTES = 100_000;
const PIPELINED = 10;

/** Sends a piece now and then, until the connection is closed. */
function trickle(socket: Socket): void {
  const timer = setInterval(() => socket.write(" "), SLOW_PIECE_MS);
  socket.once("close", () => clearInterval(timer));
}

type Kind = readonly [open: Open, use: (socket: Socket) => void];

/** What clients do with a connection. There are as many of each kind. */
const KINDS: readonly Kind[] = [
  // Silent.
  [tcp, () => {}],
  // Half open: closed on their side, in a handshake, in a head.
  [tcp, (socket) => void socket.end()],
  [tcp, (socket) => void socket.write(Buffer.from("1603010200010001fc0303", "hex"))],
  [tls, (socket) => void socket.write("POST /validate/loop HTTP/1.1\r\nhost: lo")],
  // Slow.
  [tls, (socket) => {
    socket.write(head("loop", BODY_BYTES));
    trickle(socket);
  }],
  // Resetting in the midst of a body.
  [resettable, (socket) => {
    socket.write(head("loop", BODY_BYTES));
    socket.write(" ".repeat(BODY_BYTES / 2));
    reset(socket);
  }],
  // Pipelining, without looking at the answers.
  [tls, (socket) => {
    socket.write(whole("trap").repeat(PIPELINED));
    setTimeout(() => socket.destroy(), SLOW_PIECE_MS);
  }],
];

const [port, clients] = process.argv.slice(2).map(Number) as [number, number];
const counts: CrowdCounts = { connections: 0, handshakes: 0, atOnce: 0 };
let open = 0;

async function client([openIt, use]: Kind): Promise<never> {
  for (let rest = REST_MS;; rest = 2 * REST_MS) {
    await sleep(rest * Math.random());
    const signal = AbortSignal.timeout(MAX_CONNECTION_MS);
    const socket = await openIt(port, signal);
    if (socket === undefined) continue;
    counts.connections++;
    if (openIt !== tcp) counts.handshakes++;
    counts.atOnce = Math.max(counts.atOnce, ++open);
    use(socket.resume());
    await closed(socket);
    open--;
  }
}

process.once("disconnect", () => process.exit());
setPriority(constants.priority.PRIORITY_LOW);
for (let count = 0; count < clients; count++) void client(KINDS[count % KINDS.length]!);
setInterval(() => process.send!(counts), 1_000);
