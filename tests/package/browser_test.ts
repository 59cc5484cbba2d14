/**
 * The evaluator alone in a browser: Chromium loads the packed file and prints the verdicts, which are those of every other runtime.
 * Rego builtins that need keys end the evaluation there instead of answering wrongly.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as library from "../../mod.ts";
import { BIN, consumer, ROOT, succeed } from "./consumer.ts";
import { verdicts } from "./verdicts.mjs";

const BROWSER = ["chromium", "chromium-browser", "google-chrome"].find((name) =>
  spawnSync("sh", ["-c", `command -v ${name}`]).status === 0
);
// A browser is the same on both runtimes.
const withIt = BROWSER === undefined || "bun" in process.versions ? test.skip : test;
const hint = BROWSER === undefined ? " (apt-get install chromium)" : "";

const PAGE = `<!doctype html><script type="module">
const load = (path) => import(path);
const send = (path, text) => fetch(path, { method: "POST", body: text });
try {
  const library = await load("/evaluator.js");
  const { verdicts } = await load("/verdicts.mjs");
  const read = async (file) => new Uint8Array(await (await fetch("/file/" + file)).arrayBuffer());
  const lines = await verdicts(library, read, 0);
  const builtins = await library.loadPolicy(await read("tests/policies/rego-builtins/policy.wasm"), { timeoutMs: 20000 });
  const { status } = await builtins.validate({ calls: [{ name: "io.jwt.decode_verify", operands: ["a.b.c", {}] }] });
  const code = async (promise) => { try { await promise; return "none"; } catch (error) { return error.code; } };
  const threads = await code(library.loadPolicy(await read("policies/required-labels/policy.wasm"), { threads: 1 }));
  const path = await code(library.loadPolicy("policies/required-labels/policy.wasm"));
  const url = await library.loadPolicy(new URL("/file/policies/required-labels/policy.wasm", location.href), { settings: { required: ["a"] } });
  await send("/done", JSON.stringify({ lines, refused: status, threads, path, url: (await url.validateSettings()).valid }));
} catch (error) {
  await send("/done", JSON.stringify({ error: String(error.stack) }));
}
</script>`;

interface Answer {
  readonly error?: string;
  readonly lines: readonly string[];
  readonly refused?: { readonly message?: string; readonly code?: number };
  readonly threads: string;
  readonly path: string;
  readonly url: boolean;
}

/** What the page sends when it is done; its library is `evaluator`. */
async function ask(evaluator: string): Promise<Answer> {
  let done: (answer: Answer) => void = () => {};
  const answered = new Promise<Answer>((resolve) => done = resolve);
  const server = createServer((request, response) => {
    const url = request.url ?? "";
    if (request.method === "POST") {
      let text = "";
      request.on("data", (chunk) => text += chunk).on("end", () => {
        response.end();
        done(JSON.parse(text));
      });
      return;
    }
    const [type, body] = url === "/"
      ? ["text/html", PAGE]
      : url === "/evaluator.js"
      ? ["text/javascript", readFileSync(evaluator)]
      : url === "/verdicts.mjs"
      ? ["text/javascript", readFileSync(new URL("./verdicts.mjs", import.meta.url))]
      : url.startsWith("/file/") && !url.includes("..")
      ? ["application/wasm", readFileSync(join(ROOT, url.slice(6)))]
      : ["text/plain", ""];
    response.writeHead(200, { "content-type": type as string }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  try {
    return await inBrowser(`http://127.0.0.1:${port}/`, () => answered);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** Opens a page; `use` gets what the browser prints, which begins with the address of its debugger. */
async function inBrowser<T>(page: string, use: (printed: AsyncIterable<string>) => Promise<T>): Promise<T> {
  const profile = mkdtempSync(join(tmpdir(), "portreeve-browser-"));
  const flags = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
    `--user-data-dir=${profile}`,
    // With it the browser stays until it is ended.
    "--remote-debugging-port=0",
  ];
  const browser = spawn(BROWSER!, [...flags, page], { stdio: ["ignore", "ignore", "pipe"] });
  browser.stderr.setEncoding("utf8");
  const ended = new Promise<void>((resolve) => browser.once("exit", () => resolve()));
  try {
    return await Promise.race([
      use(browser.stderr),
      ended.then(() => Promise.reject(new Error("the browser ended before the page was done"))),
    ]);
  } finally {
    browser.kill();
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Evaluates expressions in the page that a browser shows, one after the other; promises are awaited. */
async function evaluateIn(page: string, printed: AsyncIterable<string>, expressions: readonly string[]) {
  let text = "";
  let host: string | undefined;
  for await (const piece of printed) {
    text += piece;
    host = /DevTools listening on ws:\/\/([^/]+)\//.exec(text)?.[1];
    if (host !== undefined) break;
  }
  const targets = await (await fetch(`http://${host}/json/list`)).json() as readonly {
    readonly type: string;
    readonly webSocketDebuggerUrl: string;
  }[];
  const socket = new WebSocket(targets.find(({ type }) => type === "page")!.webSocketDebuggerUrl);
  await new Promise((resolve) => socket.addEventListener("open", resolve, { once: true }));
  interface Reply {
    readonly id?: number;
    readonly error?: { readonly message: string };
    readonly result?: { readonly result?: { readonly value?: unknown }; readonly exceptionDetails?: unknown };
  }
  let sent = 0;
  const call = (method: string, params: unknown) =>
    new Promise<unknown>((resolve, reject) => {
      const id = ++sent;
      const listen = ({ data }: MessageEvent) => {
        const { id: answered, error, result } = JSON.parse(String(data)) as Reply;
        if (answered !== id) return;
        socket.removeEventListener("message", listen);
        const failed = error ?? result?.exceptionDetails;
        if (failed === undefined) resolve(result?.result?.value);
        else reject(new Error(`${method}: ${JSON.stringify(failed)}`));
      };
      socket.addEventListener("message", listen);
      socket.send(JSON.stringify({ id, method, params }));
    });
  // Answered once the page is there: what was evaluated earlier would be lost.
  await call("Page.navigate", { url: page });
  const values: unknown[] = [];
  for (const expression of expressions) {
    values.push(await call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }));
  }
  socket.close();
  return values;
}

async function check(evaluator: string): Promise<void> {
  const read = (file: string) => new Uint8Array(readFileSync(join(ROOT, file)));
  const expected = await verdicts(library, read, 0);
  const answer = await ask(evaluator);
  assert.is(answer.error, undefined);
  assert.equal(answer.lines, expected);
  assert.is(answer.refused?.code, 500);
  assert.match(
    answer.refused?.message ?? "",
    "io.jwt.decode_verify: keys and signatures are not available in a browser",
  );
  assert.is(answer.threads, "invalid_options");
  assert.is(answer.path, "unreadable_policy");
  assert.is(answer.url, true);
}

withIt(`the file that the package has for browsers${hint}`, async () => {
  await check(join(consumer(), "node_modules/portreeve/npm/evaluator.browser.js"));
});

withIt(`a page that esbuild bundles for browsers${hint}`, async () => {
  const folder = consumer({ "page.mjs": 'export * from "portreeve/evaluator";\n' });
  succeed(
    folder,
    join(BIN, "esbuild"),
    ...["page.mjs", "--bundle", "--format=esm", "--minify", "--outfile=page.js", "--log-level=error"],
  );
  await check(join(folder, "page.js"));
});

withIt(`the playground of the examples${hint}`, async () => {
  const names = ["playground.html", "playground.mjs"];
  const folder = consumer(
    Object.fromEntries(names.map((name) => [name, readFileSync(join(ROOT, "examples", name), "utf8")])),
  );
  const POLICY = join(ROOT, "policies/required-labels/policy.wasm");
  const server = spawn(join(BIN, "node"), ["playground.mjs"], {
    cwd: folder,
    env: { PATH: process.env["PATH"]!, POLICY, PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const page = await new Promise<string>((resolve) =>
      server.stdout.on("data", (text) => {
        const found = /open (http:\S+)/.exec(String(text));
        if (found) resolve(found[1]!);
      })
    );
    /** Fills a field in, asks, and gives what is shown then. */
    const ask = (name: string, value: string) =>
      `new Promise((resolve) => {
        form.elements.${name}.value = ${JSON.stringify(value)};
        const shown = new MutationObserver(() => {
          if (output.textContent === "…") return;
          shown.disconnect();
          resolve(output.textContent);
        });
        shown.observe(output, { childList: true, characterData: true, subtree: true });
        form.requestSubmit();
      })`;
    const [, rejected, refused, wrong] = await inBrowser(
      "about:blank",
      (printed) =>
        evaluateIn(page, printed, [
          // The document is there, which need not have a body yet.
          `var form, output;
        new Promise((resolve) => {
          const look = () => {
            if (document.body === null || !("ready" in document.body.dataset)) return requestAnimationFrame(look);
            form = document.forms[0];
            output = document.querySelector("output");
            resolve();
          };
          look();
        })`,
          ask("settings", '{"required":["owner"]}'),
          ask("settings", '{"required":1}'),
          `form.elements.settings.value = '{"required":["owner"]}', ${ask("request", "{")}`,
        ]),
    );
    assert.is(JSON.parse(String(rejected)).status.message, 'label "owner" is required');
    assert.match(String(refused), /^The policy refuses its settings: ./);
    assert.match(String(wrong), /^JsonSyntaxError: ./);
  } finally {
    server.kill("SIGTERM");
  }
});

test.run();
