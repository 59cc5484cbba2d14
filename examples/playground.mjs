// A page in which a policy is asked, evaluated by the browser: serves playground.html and what it loads.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import process from "node:process";

const evaluator = new URL("npm/evaluator.browser.js", import.meta.resolve("portreeve/package.json"));
const files = new Map([
  ["/", [new URL("playground.html", import.meta.url), "text/html; charset=utf-8"]],
  ["/evaluator.js", [evaluator, "text/javascript"]],
  ["/policy.wasm", [process.env.POLICY ?? "policy.wasm", "application/wasm"]],
]);

const server = createServer(async (request, response) => {
  const [path, type] = files.get(request.url) ?? [];
  const body = path === undefined ? undefined : await readFile(path).catch(() => undefined);
  if (body === undefined) response.writeHead(404).end();
  else response.writeHead(200, { "content-type": type }).end(body);
});
server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`open http://127.0.0.1:${server.address().port}/`);
});
process.on("SIGTERM", () => server.close());
