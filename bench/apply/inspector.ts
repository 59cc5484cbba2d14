/** Profiles the main thread of a Node process over its inspector (`--inspect`). */
import type { CpuProfile } from "../render/profile.ts";

/** How often the thread is looked at, in microseconds. */
const SAMPLING_US = 500;

type Answer = {
  readonly id?: number;
  readonly result?: { readonly profile?: CpuProfile };
  readonly error?: { readonly message: string };
};

/** A profile under way. */
export interface RunningProfile {
  /** Ends it. */
  stop(): Promise<CpuProfile>;
}

/** Begins to profile the process whose inspector listens on a port of loopback. */
export async function profileMainThread(port: number): Promise<RunningProfile> {
  const [target] = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error(`the inspector on port ${port} can't be reached`));
  });
  const waiting = new Map<number, (answer: Answer) => void>();
  socket.onmessage = ({ data }) => {
    const answer = JSON.parse(String(data)) as Answer;
    waiting.get(answer.id ?? -1)?.(answer);
  };
  let ids = 0;
  const ask = async (method: string, params: object = {}) => {
    const id = ++ids;
    const answered = new Promise<Answer>((resolve) => waiting.set(id, resolve));
    socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await answered;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  };
  await ask("Profiler.enable");
  await ask("Profiler.setSamplingInterval", { interval: SAMPLING_US });
  await ask("Profiler.start");
  return {
    stop: async () => {
      const { profile } = await ask("Profiler.stop");
      socket.close();
      return profile!;
    },
  };
}
