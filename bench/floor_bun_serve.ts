/**
 * The HTTP floor of `Bun.serve`: reads the body of every request and answers with fixed bytes, by the last segment of the path, as
 * `floor.ts` does with `node:https`. Runs on Bun only.
 *
 * usage: floor_bun_serve.ts PORT CERT_FILE KEY_FILE ANSWERS_FILE      (ANSWERS_FILE: a JSON object, policy to answer)
 */
import { readFileSync } from "node:fs";
import process from "node:process";

/** What is used of Bun: its types would add globals that Node has not. */
interface ServingBun {
  readonly serve: (options: {
    readonly hostname: string;
    readonly port: number;
    readonly tls: { readonly cert: string; readonly key: string };
    readonly fetch: (request: Request) => Promise<Response>;
  }) => unknown;
}

const [port, certFile, keyFile, answersFile] = process.argv.slice(2) as [string, string, string, string];
const answers = new Map(
  Object.entries(JSON.parse(readFileSync(answersFile, "utf8")) as Record<string, string>),
);
const headers = { "content-type": "application/json" };

const { Bun } = globalThis as unknown as { readonly Bun: ServingBun };
Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  tls: { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") },
  fetch: async (request) => {
    await request.arrayBuffer();
    const answer = answers.get(request.url.slice(request.url.lastIndexOf("/") + 1));
    return new Response(answer, { status: answer === undefined ? 404 : 200, headers });
  },
});
