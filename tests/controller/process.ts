/** The controller as a process of its own: the bundle that ships, on the runtime that runs the test. */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { freePorts, until } from "../cluster/control_plane.ts";
import { bundleFile, imageEnvironment } from "../programs.ts";
import { NAMESPACE } from "./harness.ts";

export type ControllerProcess = {
  readonly child: ChildProcess;
  readonly webhookUrl: string;
  readonly probes: string;
  readonly metricsUrl: string;
  log(): string;
  /** The value of a metric summed over its series; `filter` picks among their lines. */
  metric(name: string, filter?: (line: string) => boolean): Promise<number>;
  /** Resolves when the process has ended; how it is asked to is up to the caller. */
  ended(): Promise<number | null>;
  stop(signal?: NodeJS.Signals): Promise<number | null>;
};

/** Starts the controller and waits until it is ready, or, where it can't become that, until its probes answer. */
export async function startProcess(
  options: {
    readonly kubeconfig: string;
    readonly certificates: string;
    readonly args?: readonly string[];
    readonly until?: "ready" | "alive";
  },
): Promise<ControllerProcess> {
  const [webhookPort, probePort, metricsPort] = await freePorts(3) as [number, number, number];
  const child = spawn(process.execPath, [
    bundleFile("controller"),
    `--deployments-namespace=${NAMESPACE}`,
    `--kubeconfig=${options.kubeconfig}`,
    `--webhook-server-port=${webhookPort}`,
    `--health-probe-bind-address=127.0.0.1:${probePort}`,
    `--metrics-bind-address=127.0.0.1:${metricsPort}`,
    ...(options.args ?? ["--leader-elect"]),
  ], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      ...process.env,
      ...imageEnvironment("controller"),
      PORTREEVE_WEBHOOK_CERTIFICATES: options.certificates,
    },
  });
  let output = "";
  child.stderr.on(
    "data",
    (chunk: Uint8Array) => output = (output + new TextDecoder().decode(chunk)).slice(-100_000),
  );
  const exit = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  const lastResort = () => child.kill("SIGKILL");
  process.once("exit", lastResort);
  const probes = `http://127.0.0.1:${probePort}`;
  const metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
  await until("the controller's process is ready", async () => {
    if (child.exitCode !== null) throw new Error(`the controller ended:\n${output}`);
    return await fetch(`${probes}/${options.until === "alive" ? "healthz" : "readyz"}`).then(
      async (answer) => {
        await answer.text();
        return answer.status === 200;
      },
      () => false,
    );
  });
  return {
    child,
    webhookUrl: `https://127.0.0.1:${webhookPort}`,
    probes,
    metricsUrl,
    log: () => output,
    async metric(name, filter = () => true) {
      const text = await (await fetch(metricsUrl)).text();
      return text.split("\n").filter((line) => /^[a-z_]+/.exec(line)?.[0] === name && filter(line))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
    },
    ended: () => exit,
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const code = await exit;
      process.removeListener("exit", lastResort);
      return code;
    },
  };
}
