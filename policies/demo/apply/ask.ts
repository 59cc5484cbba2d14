/** Asks the server that was just started, and no other: its certificate is of this run. */
import { readFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import type { Answered } from "../types/demo.ts";

const MAX_ANSWER_MS = 30_000;

/** Posts the file of a sample. Rejects when another server answers, or none. */
export function ask(
  sample: Answered["sample"],
  { file, url, caFile }: { readonly file: string; readonly url: string; readonly caFile: string },
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(url, {
      method: "POST",
      ca: readFileSync(caFile),
      headers: { "content-type": "application/json" },
      agent: false,
      timeout: MAX_ANSWER_MS,
    }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => body += text);
      response.on("end", () => resolve({ sample, file, url, body }));
      response.on("error", reject);
    });
    sent.on("timeout", () => sent.destroy(new Error(`${url} does not answer`)));
    sent.on(
      "error",
      ({ message }) => reject(new Error(`${url} is not answered by the server that was started: ${message}`)),
    );
    sent.end(readFileSync(file));
  });
}
