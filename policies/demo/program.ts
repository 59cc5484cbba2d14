/** Serves sample policies and shows on one screen what to do with them. The server is the policy server, in this process. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { REGO_BUILTINS } from "../../evaluator/types/rego_builtin_names.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { loadPolicies } from "../../policy_server/apply/policies_file.ts";
import { serve, start as startPolicyServer } from "../../policy_server/program.ts";
import { parseOptions } from "../../policy_server/render/parse_options.ts";
import { type PolicyServer, startServer } from "../../policy_server/serve/server.ts";
import { type FlagName, FLAGS } from "../../policy_server/types/flags.ts";
import type { ServerOptions } from "../../policy_server/types/options.ts";
import { VERSION } from "../../policy_server/types/version.ts";
import { refuseDirectStart } from "../../program/apply/refuse_direct_start.ts";
import { listenAddress } from "../../program/render/listen_error.ts";
import { lines } from "../../program/render/terminal_text.ts";
import { ListenError } from "../../program/types/listen_error.ts";
import { own } from "../../program/types/own.ts";
import { ask } from "./apply/ask.ts";
import { makeMaterial, type Material } from "./apply/material.ts";
import { openBrowser } from "./apply/open_browser.ts";
import { freePort } from "./apply/ports.ts";
import { answersPage } from "./render/answers_page.ts";
import { HELP } from "./render/help.ts";
import { screen } from "./render/screen.ts";
import { type Answered, type Moved, SAMPLES } from "./types/demo.ts";

refuseDirectStart(import.meta.url, "portreeve");

const OPEN = "--open";
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** 128 and the signal's number. */
const INTERRUPTED = 130;
const LOCAL = "127.0.0.1";
/** Names the folder of a run to its background process, which removes it when it ends. */
const FOLDER_VARIABLE = "PORTREEVE_DEMO_FOLDER";
const USUAL: readonly { readonly flag: FlagName; readonly port: number }[] = [
  { flag: "--port", port: 8443 },
  { flag: "--readiness-probe-port", port: 8081 },
];

type Values = { readonly [variable: string]: string };

const variableOf = (flag: FlagName) => FLAGS.find(({ name }) => name === flag)!.variable;

/** Whether the user chose a value, by the flag or by its variable. */
function isGiven(words: readonly string[], flag: FlagName): boolean {
  return own(process.env, variableOf(flag)) !== undefined ||
    words.some((word) => word === flag || word.startsWith(`${flag}=`));
}

/** What a run adds to what its user gave. */
interface Setting {
  readonly material: Material;
  readonly host: string;
  /** Values of variables, beneath the user's. */
  readonly values: Values;
  /** The listeners whose ports are ours to choose. */
  readonly free: ReadonlySet<FlagName>;
  /** Whether policies and certificate are ours, so that the samples can be asked. */
  readonly asks: boolean;
}

async function makeSetting(words: readonly string[]): Promise<Setting> {
  const given = (flag: FlagName) => isGiven(words, flag);
  const outcome = parse(words, {});
  const host = given("--addr") && outcome.kind === "run" ? outcome.options.host : LOCAL;
  const material = await makeMaterial(host);
  const ours = (flags: readonly FlagName[]) => !flags.some(given);
  const samples = ours(["--policies"]);
  // Policies of one's own are tried over plain HTTP, as the policy server serves them where it is given no certificate.
  const certificate = samples && ours(["--cert-file", "--key-file"]);
  return {
    material,
    host,
    values: {
      [variableOf("--addr")]: LOCAL,
      [variableOf("--log-level")]: "error",
      [variableOf("--policies-download-dir")]: material.folder,
      [variableOf("--sigstore-cache-dir")]: join(material.folder, "sigstore-data"),
      ...samples ? { [variableOf("--policies")]: material.policiesFile } : {},
      ...certificate
        ? {
          [variableOf("--cert-file")]: material.certFile,
          [variableOf("--key-file")]: material.keyFile,
        }
        : {},
    },
    free: new Set(USUAL.map(({ flag }) => flag).filter((flag) => !given(flag))),
    asks: certificate && ours(["--client-ca-file"]),
  };
}

/** Chooses the ports that are ours to choose: those of `from`, or the next that nobody has. */
async function choosePorts(
  { host, free }: Setting,
  from: ReadonlyMap<FlagName, number>,
): Promise<ReadonlyMap<FlagName, number>> {
  const chosen = new Map<FlagName, number>();
  for (const { flag, port } of USUAL) {
    if (free.has(flag)) chosen.set(flag, await freePort(host, from.get(flag) ?? port, flag));
  }
  return chosen;
}

const portValues = (ports: ReadonlyMap<FlagName, number>): Values =>
  Object.fromEntries([...ports].map(([flag, port]) => [variableOf(flag), String(port)]));

const parse = (words: readonly string[], values: Values) =>
  parseOptions(words, { ...values, ...process.env }, {
    cpus: availableParallelism(),
    version: VERSION,
    regoBuiltins: REGO_BUILTINS,
  });

function nextToRead(): string {
  const map = fileURLToPath(new URL("../docs/README.md", import.meta.url));
  const help = "--help lists the flags, --open shows the answers in the browser";
  return existsSync(map) ? `${relative(process.cwd(), map)}; ${help}` : help;
}

const movedPorts = (ports: ReadonlyMap<FlagName, number>): readonly Moved[] =>
  USUAL.flatMap(({ flag, port }) => {
    const to = ports.get(flag);
    return to === undefined || to === port ? [] : [{ from: port, to }];
  });

function facts(
  { material, asks }: Setting,
  options: ServerOptions,
  ports: ReadonlyMap<FlagName, number>,
) {
  const host = options.host === "0.0.0.0" || options.host === "::" ? LOCAL : options.host;
  return {
    version: VERSION,
    url: `${options.tls === null ? "http" : "https"}://${listenAddress(host, options.port)}`,
    readinessUrl: `http://${listenAddress(host, options.readinessProbePort)}`,
    policies: [...loadPolicies(options.policiesPath).keys()],
    moved: movedPorts(ports),
    caFile: asks ? material.certFile : undefined,
    answers: [],
    asking: asks || options.tls !== null ? undefined : "request.json",
    windows: process.platform === "win32",
    proxied: ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].some((name) => process.env[name]),
    stop: "Ctrl-C",
    next: nextToRead(),
  };
}

const print = (text: string) => void process.stdout.write(lines(text));

/** Runs in the background: the policy server starts this program once more, with these variables. */
async function startInBackground(
  setting: Setting,
  options: ServerOptions,
  ports: ReadonlyMap<FlagName, number>,
): Promise<void> {
  const { values, material } = setting;
  Object.assign(process.env, {
    ...values,
    ...portValues(ports),
    ...process.env,
    [FOLDER_VARIABLE]: material.folder,
  });
  process.on("exit", (code) => {
    if (code !== 0) return material.remove();
    const stop = `kill $(cat ${join("/", options.daemon!.pidFile)})`;
    print(screen({ ...facts(setting, options, ports), stop }));
  });
  await startPolicyServer();
}

/** Asks the samples, shows the screen, and with `open` the answers. */
async function show(
  setting: Setting,
  options: ServerOptions,
  ports: ReadonlyMap<FlagName, number>,
  open: boolean,
): Promise<void> {
  const { material, asks } = setting;
  const known = facts(setting, options, ports);
  const answers: Answered[] = [];
  for (const sample of asks ? SAMPLES : []) {
    const file = material.requestFile(sample.request);
    const url = `${known.url}/validate/${sample.policy}`;
    answers.push(await ask(sample, { file, url, caFile: material.certFile }));
  }
  print(screen({ ...known, answers }));
  if (!open) return;
  const page = join(material.folder, "answers.html");
  writeFileSync(page, answersPage(known.url, answers, answers.map(({ file }) => readFileSync(file, "utf8"))));
  const opened = await openBrowser(pathToFileURL(page).href);
  print(opened ? `Opened   ${page}\n` : `No browser could be started; open this page in one: ${page}\n`);
}

/** Serves in the foreground. A port that another program takes before we have it is passed over, if it is ours to choose. */
async function serveHere(
  setting: Setting,
  words: readonly string[],
  first: ReadonlyMap<FlagName, number>,
  open: boolean,
): Promise<void> {
  process.on("exit", setting.material.remove);
  let serving = false;
  // Once it serves, the server has handlers of its own. These stay: a signal that came just before would be lost with them.
  for (const signal of SIGNALS) process.on(signal, () => serving || process.exit(INTERRUPTED));
  let ports = first;
  const read = () => {
    const outcome = parse(words, { ...setting.values, ...portValues(ports) });
    if (outcome.kind !== "run") throw new Error("the options changed while they were read");
    return outcome.options;
  };
  let options = read();
  const starting = async (...[, log, configured]: Parameters<typeof startServer>): Promise<PolicyServer> => {
    for (;;) {
      try {
        return await startServer(options, log, configured);
      } catch (error) {
        const taken = error instanceof ListenError && error.taken &&
          [...ports.values()].includes(error.listening.port);
        if (!taken) throw error;
        ports = await choosePorts(setting, ports);
        options = read();
      }
    }
  };
  await serve(options, {
    start: starting,
    endWithTerminal: process.stdin.isTTY,
    ready: async ({ port, readinessPort }) => {
      await show(setting, { ...options, port, readinessProbePort: readinessPort }, ports, open);
      serving = true;
    },
  });
}

/** Reads the process' own command line and serves; resolves to the exit code where it doesn't. */
export async function start(): Promise<number | void> {
  const given = process.argv.slice(2);
  const folder = process.env[FOLDER_VARIABLE];
  if (folder !== undefined) {
    process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
    process.argv = process.argv.filter((word) => word !== OPEN);
    return await startPolicyServer();
  }
  const words = given.filter((word) => word !== OPEN);
  const open = words.length < given.length;
  const first = parse(words, {});
  if (first.kind === "help") return void process.stdout.write(`${HELP}${first.text}\n`);
  if (first.kind !== "run" && first.kind !== "error") return await startPolicyServer();
  try {
    const setting = await makeSetting(words);
    try {
      const ports = await choosePorts(setting, new Map());
      const outcome = parse(words, { ...setting.values, ...portValues(ports) });
      if (outcome.kind !== "run") {
        if (outcome.kind === "error") process.stderr.write(`${outcome.text}\n`);
        setting.material.remove();
        return outcome.kind === "error" ? outcome.exitCode : 0;
      }
      if (open && (!setting.asks || outcome.options.daemon !== null)) {
        process.stderr.write(
          "Error: --open shows what the sample policies answer: leave out --policies, --cert-file, --key-file, " +
            "--client-ca-file, --daemon and their variables, or --open\n",
        );
        setting.material.remove();
        return 2;
      }
      if (outcome.options.daemon !== null) return await startInBackground(setting, outcome.options, ports);
      return await serveHere(setting, words, ports, open);
    } catch (error) {
      setting.material.remove();
      throw error;
    }
  } catch (error) {
    process.stderr.write(`Error: ${osErrorText(error)}\n`);
    return 1;
  }
}
