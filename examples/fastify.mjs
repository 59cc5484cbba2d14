// An admission webhook with Fastify: POST /validate answers an AdmissionReview.
import process from "node:process";
import Fastify from "fastify";
import { loadPolicy, PortreeveError } from "portreeve";

const policy = await loadPolicy(process.env.POLICY ?? "policy.wasm", { settings: process.env.SETTINGS ?? "{}" });
const app = Fastify({ bodyLimit: 8 * 1024 * 1024 });

// As text: what the API server sent reaches the policy byte for byte, numbers as they were written.
app.removeContentTypeParser("application/json");
app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => done(null, body));
app.post("/validate", (request) => policy.review(request.body));
app.setErrorHandler((error, _request, reply) => {
  const refused = error instanceof PortreeveError && ["invalid_json", "invalid_review"].includes(error.code);
  return reply.status(refused ? 400 : 500).send({ message: error.message });
});
app.addHook("onClose", () => policy.close());

await app.listen({ port: Number(process.env.PORT ?? 3000) });
console.log(`listening on ${app.server.address().port}`);
process.on("SIGTERM", () => app.close());
