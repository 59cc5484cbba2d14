/**
 * Run in namespaces of its own, where the only name server is this process, which never answers: prints what policies get that
 * look a name up. See `timeout_test.ts`.
 */
import { createSocket } from "node:dgram";
import process from "node:process";
import { netCapabilities } from "../../../policy_server/apply/capabilities/net.ts";
import { closeCallers, hostCaller } from "./host_caller.ts";

const LOOKUP = "net/v1/dns_lookup_host";
const server = createSocket("udp4");
let asked = 0;
server.on("message", () => asked++);
await new Promise<void>((resolve) => server.bind(53, "127.0.0.1", resolve));

const capabilities = netCapabilities();
const hasty = await hostCaller(capabilities, { limitMs: 200 });
const patient = await hostCaller(capabilities, { limitMs: 60_000 });
// A guest is made at the first call, which takes its time.
for (const caller of [hasty, patient]) await caller.call(LOOKUP, "127.0.0.1");
let answered = 0;
const waiting = Array.from(
  { length: 5 },
  (_, at) => hasty.call(LOOKUP, `${at}.hasty.example`).finally(() => answered++),
);
const slow = patient.call(LOOKUP, "slow.example");
const literal = await patient.call(LOOKUP, "127.0.0.1");
const results = { hasty: await Promise.all(waiting), literal, slow: await slow, asked: asked > 0 };
process.stdout.write(`${JSON.stringify(results)}\n`);
await closeCallers();
server.close();
