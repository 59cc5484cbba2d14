/**
 * The evaluator alone in a browser: Chromium loads the packed file and prints the verdicts, which are those of every other runtime.
 * Rego builtins that need keys end the evaluation there instead of answering wrongly.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as library from "../../mod.ts";
import { BROWSER, evaluateIn, GET_BROWSER, inBrowser } from "../browser.ts";
import { BIN, consumer, ROOT, succeed } from "./consumer.ts";
import { verdicts } from "./verdicts.mjs";

// A browser is the same on both runtimes.
const withIt = BROWSER === undefined || "bun" in process.versions ? test.skip : test;
const hint = GET_BROWSER;

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
    assert.match(String(refused), /^PolicyError: .*the policy refuses its settings: ./);
    assert.match(String(wrong), /^JsonSyntaxError: ./);
  } finally {
    server.kill("SIGTERM");
  }
});

test.run();
