/** A serving thread that a test can end, or have hang as a guest would that no clock stops. */
import { BroadcastChannel } from "node:worker_threads";
import process from "node:process";
import type { ServingStart } from "../../policy_server/apply/serving_messages.ts";
import { SHARED } from "../../policy_server/apply/serving_messages.ts";

/** What the test tells: the channel's name, and the words. */
export const CHANNEL = "mortal-threads";
export type Told = { readonly thread: number; readonly what: "exit" | "throw" | "hang" };

export default async function serve(start: ServingStart): Promise<void> {
  const { default: real } = await import("../../policy_server/serve/serving_thread.ts");
  const channel = new BroadcastChannel(CHANNEL);
  const thread = Math.floor(Math.random() * 2 ** 48);
  channel.onmessage = (event) => {
    const { data } = event as { readonly data: Told | "who" };
    if (data === "who") return channel.postMessage({ thread });
    if (data.thread !== thread) return;
    if (data.what === "exit") process.exit(3);
    if (data.what === "throw") throw new Error("a fault of its own");
    Atomics.add(start.shared, SHARED.running, 1);
    for (;;);
  };
  (channel as unknown as { unref?(): void }).unref?.();
  await real(start);
  channel.close();
}
