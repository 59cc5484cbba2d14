/**
 * A forward proxy for HTTPS that prints what it is asked for.
 *
 * usage: _proxy.ts ADDRESS PORT
 */
import { createServer } from "node:http";
import { connect } from "node:net";
import process from "node:process";

const [address, port] = process.argv.slice(2);
const server = createServer((_, response) => response.writeHead(405).end());
server.on("connect", (request, client, head) => {
  console.log(`CONNECT ${request.url}`);
  const [host, to] = (request.url ?? "").split(":");
  const upstream = connect(Number(to), host!, () => {
    client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    upstream.write(head);
    upstream.pipe(client);
    client.pipe(upstream);
  });
  upstream.on("error", () => client.destroy());
  client.on("error", () => upstream.destroy());
});
server.listen(Number(port), address);
