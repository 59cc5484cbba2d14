/**
 * `@kubernetes/client-node` on this project's transport, so that its API classes honour private certificate authorities and
 * client certificates on Bun as on Node.
 *
 * @example
 * ```ts
 * const { CoreV1Api, createConfiguration, ServerConfiguration } = await loadKubernetesClient();
 * const api = new CoreV1Api(createConfiguration({
 *   baseServer: new ServerConfiguration(transport.server, {}),
 *   httpApi: await clientNodeHttp(transport),
 * }));
 * ```
 */
import { Buffer } from "node:buffer";
import { Readable } from "node:stream";
import { type KubernetesHttpLibrary, loadKubernetesClient } from "../../deps.ts";
import type { ApiTransport } from "./api_transport.ts";

async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

/** An HTTP library for `createConfiguration({ httpApi })` of the client. */
export async function clientNodeHttp(transport: ApiTransport): Promise<KubernetesHttpLibrary> {
  const { ResponseContext, wrapHttpLibrary } = await loadKubernetesClient();
  const base = new URL(transport.server).pathname.replace(/\/$/, "");
  return wrapHttpLibrary({
    async send(request) {
      const body: unknown = request.getBody();
      const url = new URL(request.getUrl());
      const signal = request.getSignal();
      const answer = await transport.request({
        method: String(request.getHttpMethod()),
        path: url.pathname.slice(url.pathname.startsWith(base) ? base.length : 0) + url.search,
        headers: request.getHeaders(),
        ...(body === undefined || body === null ? {} : { body: String(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
      return new ResponseContext(answer.status, { ...answer.headers }, {
        text: () => answer.text(),
        binary: () => readAll(answer.chunks()),
        stream: () => Readable.toWeb(Readable.from(answer.chunks())) as ReadableStream<Uint8Array>,
      });
    },
  });
}
