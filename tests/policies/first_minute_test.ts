// The first minute, as it shows on a terminal: `portreeve` from the bundle, in a network of its own, recorded with a pty.
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bundleFile } from "../programs.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** A bundle may have to be made, and the machine be shared; what is asserted is no time. */
const LIMIT_MS = 120_000;
const NEEDED = "unshare,nsenter,chroot,script,ip,curl".split(",");
const missing = NEEDED.filter((name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0);
const alone = missing.length === 0 && spawnSync("unshare", ["--net", "true"]).status === 0;
const hint = alone ? "" : ` (needs root, and apt-get install util-linux iproute2 curl)`;
const withNetwork = alone ? test : test.skip;

const program = () => bundleFile("portreeve");
const command = (...words: readonly string[]) => [process.execPath, program(), ...words];
const quoted = (words: readonly string[]) =>
  words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");

let folder: string;
/** Where another terminal is, in which commands are pasted. */
let elsewhere: string;
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), "first-minute-"));
  elsewhere = join(folder, "elsewhere");
  mkdirSync(elsewhere);
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

interface Terminal {
  readonly pid: number;
  /** What is on the screen. */
  text(): string;
  /** Resolves to the screen once `pattern` is on it. */
  shows(pattern: RegExp): Promise<string>;
  /** Presses Ctrl-C. */
  interrupt(): void;
  /** Closes the terminal's window. */
  close(): void;
  readonly ended: Promise<number | null>;
}

interface Where {
  /** The terminal in whose network this one is; a new network unless given. */
  readonly beside?: Terminal;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** Variables of a run: a temporary folder of the test's own, so that what stays behind is seen. */
function environment(own: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return { PATH: process.env["PATH"], HOME: folder, TMPDIR: folder, TERM: "xterm", ...own };
}

/** Runs a command at a terminal of its own, gives it to `use`, and ends it. */
async function atTerminal<T>(
  words: readonly string[],
  use: (terminal: Terminal) => Promise<T>,
  { beside, env, cwd = folder }: Where = {},
): Promise<T> {
  const network = beside === undefined
    ? ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    : ["nsenter", `--net=/proc/${beside.pid}/ns/net`];
  const all = [...network, "script", "-qefc", `stty cols 100 rows 24; exec ${quoted(words)}`, "/dev/null"];
  const child: ChildProcess = spawn(all[0]!, all.slice(1), {
    cwd,
    env: environment(env),
    stdio: ["pipe", "pipe", "pipe"],
  });
  let text = "";
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
      for (const listener of listeners) listener();
    });
  }
  const ended = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
  const screen = () => text.replaceAll("\r\n", "\n");
  const shows = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const stop = (settle: () => void) => {
        clearTimeout(limit);
        listeners.delete(look);
        settle();
      };
      const look = () => void (pattern.test(screen()) && stop(() => resolve(screen())));
      const fail = () => stop(() => reject(new Error(`${pattern} is not on the screen:\n${screen()}`)));
      const limit = setTimeout(fail, LIMIT_MS);
      listeners.add(look);
      void ended.then(fail);
      look();
    });
  try {
    return await use({
      pid: child.pid!,
      text: screen,
      shows,
      interrupt: () => void child.stdin!.write("\u0003"),
      close: () => void child.kill("SIGKILL"),
      ended,
    });
  } finally {
    child.stdin!.write("\u0003");
    const limit = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
    await ended;
    clearTimeout(limit);
  }
}

/** The commands on a screen, as their reader copies them. */
const commandsOf = (screen: string) =>
  [...screen.matchAll(/^ {2}(curl .*\\\n.*)$/gm)].map((match) => match[1]!);

/** Runs a copied command in a terminal's network; parsed. */
function answerTo(copied: string, { pid }: Terminal) {
  const text = execFileSync("nsenter", [`--net=/proc/${pid}/ns/net`, "sh", "-c", copied], {
    cwd: elsewhere,
    encoding: "utf8",
  });
  return JSON.parse(text).response as { allowed: boolean; status?: { message: string }; patch?: string };
}

const READY = /^Stop {5}Ctrl-C\n.*\n$/m;
const leftOver = () => readdirSync(folder).filter((name) => name.startsWith("portreeve-"));

withNetwork(
  `one screen, two requests that answer what it says, and nothing stays behind${hint}`,
  () =>
    atTerminal(command(), async (terminal) => {
      const screen = await terminal.shows(READY);
      const known = screen.replaceAll(/\/\S+portreeve-\w+/g, "/TMP/portreeve-RUN").replace(
        /0\.\d+\.\d+/,
        "VERSION",
      );
      assert.is(
        known,
        `Portreeve VERSION serves 3 policies default-seccomp, raw-quota, required-labels on https://127.0.0.1:8443

Try a Pod without the label \`owner\`:
  curl -s --cacert /TMP/portreeve-RUN/tls.crt -H "Content-Type: application/json" \\
    -d @/TMP/portreeve-RUN/unlabelled.json https://127.0.0.1:8443/validate/required-labels
It is rejected (code 422): label "owner" is required

Try a Pod without a seccomp profile:
  curl -s --cacert /TMP/portreeve-RUN/tls.crt -H "Content-Type: application/json" \\
    -d @/TMP/portreeve-RUN/no-context.json https://127.0.0.1:8443/validate/default-seccomp
It is allowed and changed: set /spec/securityContext to {"seccompProfile":{"type":"RuntimeDefault"}}

Metrics  http://127.0.0.1:8081/metrics
Stop     Ctrl-C
Next     --help lists the flags, --open shows the answers in the browser
`,
      );
      const [labels, seccomp] = commandsOf(screen);
      assert.is(answerTo(labels!, terminal).status?.message, 'label "owner" is required');
      const changed = answerTo(seccomp!, terminal);
      assert.ok(changed.allowed);
      assert.match(atob(changed.patch!), "RuntimeDefault");
      const metrics = execFileSync("nsenter", [
        `--net=/proc/${terminal.pid}/ns/net`,
        "curl",
        "-s",
        /http:\S+\/metrics/.exec(screen)![0],
      ], { encoding: "utf8" });
      assert.match(metrics, "kubewarden_policy_evaluations_total");
      assert.is(leftOver().length, 1);
      terminal.interrupt();
      assert.is(await terminal.ended, 0, terminal.text());
      assert.equal(leftOver(), []);
    }),
);

withNetwork(`it ends with its terminal${hint}`, () =>
  atTerminal(command(), async (terminal) => {
    await terminal.shows(READY);
    const [own] = leftOver();
    const gone = new Promise<void>((resolve) => {
      const watcher = watch(folder, () => {
        if (existsSync(join(folder, own!))) return;
        watcher.close();
        resolve();
      });
    });
    terminal.close();
    await gone;
  }));

withNetwork(
  `two at a time: the second takes other ports, says so, and leaves the first its certificate${hint}`,
  () =>
    atTerminal(command(), async (first) => {
      const before = await first.shows(READY);
      await atTerminal(command(), async (second) => {
        const screen = await second.shows(READY);
        assert.match(screen, "on https://127.0.0.1:8444\n");
        assert.match(screen, "Another program has port 8443, so this one took 8444.\n");
        assert.match(screen, "Another program has port 8081, so this one took 8082.\n");
        for (const [terminal, text] of [[first, before], [second, screen]] as const) {
          for (const copied of commandsOf(text)) assert.type(answerTo(copied, terminal).allowed, "boolean");
        }
        // Neither takes the other's certificate for its own.
        const [others] = commandsOf(screen);
        assert.throws(() => answerTo(others!.replace(":8444", ":8443"), first));
      }, { beside: first });
      assert.not.match(first.text(), "Another program");
    }),
);

withNetwork(
  `started at the same moment, each comes up on a port of its own${hint}`,
  () =>
    atTerminal(["sh", "-c", "echo here; sleep 1000"], async (network) => {
      await network.shows(/here/);
      const ports = await Promise.all([1, 2, 3].map(() =>
        atTerminal(command(), async (terminal) => {
          const screen = await terminal.shows(READY);
          for (const copied of commandsOf(screen)) assert.type(answerTo(copied, terminal).allowed, "boolean");
          running++;
          await new Promise<void>((resolve) => {
            waiting.push(resolve);
            if (running === 3) { for (const go of waiting) go(); }
          });
          return /on https:\S+:(\d+)\n/.exec(screen)![1]!;
        }, { beside: network })
      ));
      assert.equal([...new Set(ports)].length, 3, ports.join());
    }),
);
let running = 0;
const waiting: (() => void)[] = [];

withNetwork(`every flag and variable passes through${hint}`, async () => {
  const module = pathToFileURL(join(root, "policies/required-labels/policy.wasm")).href;
  copyFileSync(
    join(root, "policies/required-labels/requests/unlabelled.json"),
    join(elsewhere, "request.json"),
  );
  const spaced = join(folder, "it's a folder");
  mkdirSync(spaced);
  writeFileSync(join(folder, "own.yml"), JSON.stringify({ mine: { module, settings: { required: ["a"] } } }));
  const cases: readonly (readonly [words: readonly string[], env: NodeJS.ProcessEnv, shown: RegExp])[] = [
    [["--port", "9443"], {}, /on https:\/\/127\.0\.0\.1:9443\n/],
    [["--port=9443"], {}, /on https:\/\/127\.0\.0\.1:9443\n/],
    [[], { KUBEWARDEN_PORT: "9444" }, /on https:\/\/127\.0\.0\.1:9444\n/],
    [["--readiness-probe-port", "9081"], {}, /http:\/\/127\.0\.0\.1:9081\/metrics/],
    [["--addr", "[::1]"], {}, /-d @\S+ 'https:\/\/\[::1\]:8443\/validate\/required-labels'\nIt is rejected/],
    [["--addr", "0.0.0.0"], {}, /on https:\/\/127\.0\.0\.1:8443\n[^]*It is rejected/],
    [
      ["--policies", "own.yml"],
      {},
      /serves the policy mine on http:\/\/127\.0\.0\.1:8443\n\nAsk it:\n.*\n.*-d @request\.json http:\S+\/validate\/mine\n/,
    ],
    [["--log-level", "info"], {}, /policy server is ready/],
    [["--workers", "1", "--policy-timeout", "5"], {}, /It is rejected/],
    [[], { TMPDIR: spaced }, /--cacert '\/\S+\/it'\\''s a folder\/portreeve-/],
    [[], { TMPDIR: "elsewhere" }, /--cacert \/\S+\/elsewhere\/portreeve-/],
    [[], { HTTPS_PROXY: "http://127.0.0.1:1" }, /curl -s --noproxy "\*" --cacert/],
  ];
  for (const [words, env, shown] of cases) {
    await atTerminal(command(...words), async (terminal) => {
      const screen = await terminal.shows(READY);
      assert.match(screen, shown);
      for (const copied of commandsOf(screen)) {
        assert.type(answerTo(copied, terminal)?.allowed, "boolean", copied);
      }
    }, { env });
  }
});

withNetwork(`--open shows requests and answers in the browser${hint}`, async () => {
  const browser = join(folder, "browser.sh"), seen = join(folder, "seen");
  writeFileSync(browser, `#!/bin/sh\ncurl -s "$1" > ${seen}.html && mv ${seen}.html ${seen}\n`);
  chmodSync(browser, 0o755);
  await atTerminal(command("--open"), async (terminal) => {
    const screen = await terminal.shows(/^Opened .*\n/m);
    const page = /^Opened +(.*)$/m.exec(screen)![1]!;
    const html = readFileSync(page, "utf8");
    assert.match(html, "rejected (code 422): label &quot;owner&quot; is required");
    assert.match(html, "allowed and changed: set /spec/securityContext");
    assert.not.match(html, "<script");
    assert.ok(page.startsWith(join(folder, "portreeve-")));
  }, { env: { BROWSER: browser } });
  // The last one is still running when the page is said to be open.
  const script = (name: string, text: string) => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(folder, name), 0o755);
    return join(folder, name);
  };
  const cases: readonly (readonly [browser: string, shown: RegExp])[] = [
    [join(folder, "absent"), NOT_OPENED],
    ["false", NOT_OPENED],
    [folder, NOT_OPENED],
    [script("fails", "exit 3"), NOT_OPENED],
    [script("is-killed", "kill -9 $$"), NOT_OPENED],
    ["true", /^Opened {3}(.*)\n/m],
    [script("runs-on", "exec sleep 20"), /^Opened {3}(.*)\n/m],
  ];
  for (const [BROWSER, shown] of cases) {
    await atTerminal(command("--open"), async (terminal) => {
      const screen = await terminal.shows(shown);
      assert.ok(existsSync(shown.exec(screen)![1]!), screen);
    }, { env: { BROWSER } });
  }
});
const NOT_OPENED = /^No browser could be started; open this page in one: (.*)\n/m;

const onBun = "bun" in process.versions;

withNetwork(
  `npm start passes flags on and shows that screen behind npm's own lines${hint}`,
  () =>
    atTerminal(
      ["npm", "start", "--", "--port", "9443", ...onBun ? ["--runtime", "bun"] : []],
      async (terminal) => {
        const screen = await terminal.shows(READY);
        const [, before, own] = /^([^]*?)(Portreeve [^]*)$/.exec(
          // deno-lint-ignore no-control-regex
          screen.replace(/[^\n]*(?:\r\u001b\[2K|\u001b\[1G\u001b\[0K)/g, ""),
        )!;
        const lines = before!.split("\n").filter((line) => line !== "");
        assert.ok(lines.every((line) => line.startsWith("> ")), before!);
        assert.ok(own!.split("\n").length <= 20, own!);
        assert.match(own!, "on https://127.0.0.1:9443\n");
        assert.match(own!, "Next     docs/README.md");
        for (const copied of commandsOf(screen)) assert.type(answerTo(copied, terminal).allowed, "boolean");
        terminal.interrupt();
        await terminal.ended;
        assert.equal(leftOver(), []);
        assert.not.match(terminal.text(), /npm (error|warn)/i);
      },
      { cwd: root },
    ),
);

withNetwork(`npm start says which flags npm kept for itself${hint}`, async () => {
  const cases: readonly (readonly [words: readonly string[], kept: string])[] = [
    [["--port", "9443"], "--port"],
    [["--port=9443"], "--port"],
    [["--open"], "--open"],
    [
      ["--log-level", "info", "--readiness-probe-port=1", "--", "--open"],
      "--readiness-probe-port, --log-level",
    ],
  ];
  for (const [words, kept] of cases) {
    await atTerminal(["npm", "start", ...words], async (terminal) => {
      assert.is(await terminal.ended, 1);
      assert.match(
        terminal.text(),
        new RegExp(
          `^(?:\\W*)Error: npm kept ${kept} for itself: write npm start -- in front of all flags$`,
          "m",
        ),
      );
    }, { cwd: root });
  }
});

withNetwork(`npm start in a folder that can't be written to: one line${hint}`, () => {
  const readOnly = `mount --bind ${root} ${root} && mount -o remount,ro,bind ${root} && cd ${root} && ` +
    // Where the programs are built already, nothing has to be written: they are hidden.
    `if [ -d dist ]; then mount -t tmpfs none dist; fi && exec '${process.execPath}' policies/serve.ts`;
  return atTerminal(["unshare", "--mount", "sh", "-c", readOnly], async (terminal) => {
    assert.is(await terminal.ended, 1);
    assert.match(
      // deno-lint-ignore no-control-regex
      terminal.text().replace(/^.*\r\u001b\[2K/, "").trimEnd(),
      /^Error: the programs are built in \S+\/dist, which cannot be written \(.*\): use a copy of this folder that you may write to$/,
    );
  });
});

interface Failure {
  readonly words: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly code: number;
  readonly line: RegExp;
}

withNetwork(
  `what keeps it from starting is one line that says what to do${hint}`,
  () =>
    atTerminal(command(), async (first) => {
      await first.shows(READY);
      const failures: readonly Failure[] = [
        {
          words: ["--port", "8443"],
          code: 1,
          line:
            /^Error: cannot listen on 127\.0\.0\.1:8443 for admission requests: Address already in use \(os error 98\); .*choose another port with --port \(variable KUBEWARDEN_PORT\)$/,
        },
        {
          words: ["--readiness-probe-port", "8081"],
          code: 1,
          line:
            /^Error: cannot listen on 127\.0\.0\.1:8081 for readiness probes and metrics: .*--readiness-probe-port/,
        },
        {
          words: ["--addr", "192.0.2.1"],
          code: 1,
          line:
            /^Error: cannot listen on 192\.0\.2\.1:8443 .*\(os error 99\); this machine has no such address: .*--addr/,
        },
        {
          words: [],
          env: { TMPDIR: join(folder, "absent") },
          code: 1,
          line:
            /^Error: cannot make a folder in \S+\/absent: No such file .*; name one .* with the variable TMPDIR$/,
        },
        {
          words: ["--open", "--policies", "x.yml"],
          code: 2,
          line: /^Error: --open shows .*leave out --policies/,
        },
        { words: ["--policies", "absent.yml"], code: 1, line: /^Error: .*absent\.yml/ },
        { words: ["--port", "many"], code: 1, line: /^Error: .*many/ },
      ];
      for (const { words, env, code, line } of failures) {
        await atTerminal(command(...words), async (terminal) => {
          assert.is(await terminal.ended, code, terminal.text());
          assert.match(terminal.text().trimEnd(), line);
        }, { beside: first, ...env === undefined ? {} : { env } });
      }
      assert.is(leftOver().length, 1);
    }),
);

withNetwork(`help, version and wrong flags${hint}`, async () => {
  const cases: readonly (readonly [word: string, code: number, text: RegExp])[] = [
    ["--help", 0, /^Serves sample policies[^]*--open[^]*--readiness-probe-port <PORT>/],
    ["--version", 0, /^policy-server 0/],
    ["--prt", 2, /^error: unexpected argument '--prt' found[^]*'--port'/],
  ];
  for (const [word, code, text] of cases) {
    await atTerminal(command(word), async (terminal) => {
      assert.is(await terminal.ended, code);
      assert.match(terminal.text(), text);
    });
  }
  assert.equal(leftOver(), []);
});

/** A root folder that holds the runtime, what it is linked with, the bundle, and a folder for temporary files. */
function emptyRoot(): string {
  const place = mkdtempSync(join(folder, "root-"));
  chmodSync(place, 0o755);
  const linked = spawnSync("ldd", [process.execPath], { encoding: "utf8" }).stdout;
  for (const [library] of linked.matchAll(/\/\S+/g)) {
    mkdirSync(dirname(join(place, library)), { recursive: true });
    copyFileSync(library, join(place, library));
  }
  copyFileSync(process.execPath, join(place, "runtime"));
  cpSync(dirname(program()), join(place, "portreeve"), {
    recursive: true,
    filter: (path) => !path.endsWith(".map"),
  });
  for (const name of ["proc", "dev", "tmp"]) mkdirSync(join(place, name));
  chmodSync(join(place, "tmp"), 0o1777);
  return place;
}

withNetwork(
  `in an empty root, as a user without a name and a home, with nothing but /tmp to write to${hint}`,
  async () => {
    const place = emptyRoot();
    const inside = (file: string, ...words: readonly string[]) => [
      "unshare",
      "--mount",
      "sh",
      "-c",
      `mount --rbind /proc ${place}/proc && mount --rbind /dev ${place}/dev && change=$(command -v chroot) && ` +
      `exec env -i "$change" --userspec=12345:12345 --groups= ${place} /runtime /portreeve/${file} "$@"`,
      "sh",
      ...words,
    ];
    await atTerminal(inside("portreeve.js"), async (terminal) => {
      const screen = await terminal.shows(READY);
      assert.match(screen, "It is rejected (code 422)");
      assert.match(screen, "--cacert /tmp/portreeve-");
      terminal.interrupt();
      assert.is(await terminal.ended, 0);
      assert.equal(readdirSync(join(place, "tmp")).filter((name) => name.startsWith("portreeve-")), []);
    });
    const sample = "/portreeve/samples/required-labels";
    const fails: readonly (readonly [file: string, words: readonly string[], code: number, text: RegExp])[] =
      [
        [
          "portreeve.js",
          ["--port", "443"],
          1,
          /^Error: cannot listen on 127\.0\.0\.1:443 for admission requests: Permission denied \(os error 13\); ports below 1024 .*--port.*$/,
        ],
        [
          "reeve.js",
          [
            "run",
            `${sample}/policy.wasm`,
            "-r",
            `${sample}/requests/unlabelled.json`,
            "--settings-json",
            '{"required":["owner"]}',
          ],
          0,
          /"message":"label \\"owner\\" is required"/,
        ],
        ["reeve.js", ["policies"], 0, /^/],
        [
          "reeve.js",
          ["pull", "registry://127.0.0.1:1/p:v1"],
          1,
          /^Error: cannot write to \/\.cache\/\S+: Permission denied \(os error 13\); .*XDG_CACHE_HOME.*$/m,
        ],
        ["policy_server.js", ["--policies", "/absent.yml"], 1, /^Error: .*absent\.yml.*$/],
        ["audit.js", ["--cluster"], 1, /^/],
      ];
    for (const [file, words, code, text] of fails) {
      await atTerminal(inside(file, ...words), async (terminal) => {
        assert.is(await terminal.ended, code, terminal.text());
        assert.match(terminal.text().trimEnd(), text);
        assert.not.match(terminal.text(), /\n\s+at |uv_os_homedir/);
      });
    }
  },
);

test.run();
