/** Chromium, driven through its DevTools protocol, for tests of pages. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The browser's command; undefined where none is installed. */
export const BROWSER: string | undefined = ["chromium", "chromium-browser", "google-chrome"].find((name) =>
  spawnSync("sh", ["-c", `command -v ${name}`]).status === 0
);

/** What the name of a test that is skipped without a browser ends with. */
export const GET_BROWSER: string = BROWSER === undefined ? " (apt-get install chromium)" : "";

/** Opens a page; `use` gets what the browser prints, which begins with the address of its debugger. */
export async function inBrowser<T>(
  page: string,
  use: (printed: AsyncIterable<string>) => Promise<T>,
): Promise<T> {
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

/** An event of the DevTools protocol, e.g. `Network.requestWillBeSent`. */
export interface BrowserEvent {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

interface Reply {
  readonly id?: number;
  readonly error?: { readonly message: string };
  readonly result?: { readonly result?: { readonly value?: unknown }; readonly exceptionDetails?: unknown };
}

/** Connects to the debugger of the page that a browser shows. */
async function debuggerOf(printed: AsyncIterable<string>): Promise<WebSocket> {
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
  return socket;
}

/** Calls methods of the DevTools protocol. Rejects with what the browser says was wrong. */
function caller(socket: WebSocket): (method: string, params: unknown) => Promise<unknown> {
  let sent = 0;
  return (method, params) =>
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
}

/**
 * Evaluates expressions in the page that a browser shows, one after the other; promises are awaited. `observe` gets what the page
 * writes to its console, logs (failed loads among it), and asks the network for, from before it is opened.
 */
export async function evaluateIn(
  page: string,
  printed: AsyncIterable<string>,
  expressions: readonly string[],
  observe?: (event: BrowserEvent) => void,
): Promise<unknown[]> {
  const socket = await debuggerOf(printed);
  const call = caller(socket);
  if (observe !== undefined) {
    socket.addEventListener("message", ({ data }: MessageEvent) => {
      const event = JSON.parse(String(data)) as Partial<BrowserEvent>;
      if (event.method !== undefined) observe(event as BrowserEvent);
    });
    for (const domain of ["Runtime", "Log", "Network"]) await call(`${domain}.enable`, {});
  }
  // Answered once the page is there: what was evaluated earlier would be lost.
  await call("Page.navigate", { url: page });
  const values: unknown[] = [];
  for (const expression of expressions) {
    values.push(await call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }));
  }
  socket.close();
  return values;
}
