/**
 * The HTTP floor: what `node:https` can do on a runtime when nothing is evaluated. Reads the body of every request and
 * answers with fixed bytes, by the last segment of the path.
 *
 * usage: floor.ts PORT CERT_FILE KEY_FILE ANSWERS_FILE      (ANSWERS_FILE: a JSON object, policy to answer)
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import process from "node:process";

const [port, certFile, keyFile, answersFile] = process.argv.slice(2) as [string, string, string, string];
const answers = new Map(
  Object.entries(JSON.parse(readFileSync(answersFile, "utf8")) as Record<string, string>),
);

createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (request, response) => {
  const chunks: Uint8Array[] = [];
  request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  request.on("end", () => {
    Buffer.concat(chunks);
    const url = request.url ?? "";
    const answer = answers.get(url.slice(url.lastIndexOf("/") + 1)) ?? "";
    response.writeHead(answer === "" ? 404 : 200, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(answer),
    });
    response.end(answer);
  });
}).listen(Number(port), "127.0.0.1");
