/** A policy server that answers what a test wants, also badly: over TLS on loopback. */
import { writeFileSync } from "node:fs";
import { createServer, type ServerOptions } from "node:https";
import { join } from "node:path";
import type { ControlPlane } from "../cluster/control_plane.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

export type Asked = { readonly policy: string; readonly object: Any; readonly review: Any };
export type Reply =
  /** An AdmissionReview's `response`. */
  | { readonly response: Any }
  | { readonly status: number; readonly body: string; readonly headers?: { readonly [name: string]: string } }
  /** Never. */
  | "nothing"
  | "hang up";

export type Stub = {
  readonly url: string;
  /** Flags that make the scanner ask it and trust it. */
  readonly flags: readonly string[];
  /** All questions so far. */
  readonly asked: Asked[];
  /** How it answers from now on. */
  answer(how: (asked: Asked) => Reply | Promise<Reply>): void;
  stop(): Promise<void>;
};

/** Starts one; it allows everything until told otherwise. */
export async function startStub(plane: ControlPlane, tls: ServerOptions = {}): Promise<Stub> {
  const pair = await plane.authority.issue({ commonName: "localhost", dns: ["localhost"] });
  const ca = join(plane.folder, "stub-ca.crt");
  writeFileSync(ca, plane.authority.cert);
  const asked: Asked[] = [];
  let how: (asked: Asked) => Reply | Promise<Reply> = () => ({ response: { uid: "u", allowed: true } });
  const server = createServer({ ...pair, ...tls }, (request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (part) => body += part);
    request.on("end", async () => {
      const review = body === "" ? undefined : JSON.parse(body);
      const question = {
        policy: request.url!.replace(/^\/audit\//, ""),
        object: review?.request.object,
        review,
      };
      asked.push(question);
      const reply = await how(question);
      if (reply === "nothing") return;
      if (reply === "hang up") return void request.socket.destroy();
      const { status, body: text, headers } = "status" in reply
        ? reply
        : { status: 200, body: JSON.stringify({ response: reply.response }), headers: {} };
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `https://localhost:${(server.address() as { port: number }).port}`;
  return {
    url,
    flags: ["-u", url, "--extra-ca", ca],
    asked,
    answer: (next) => void (how = next),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
