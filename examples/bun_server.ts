// An admission webhook with Bun's own server: POST /validate answers an AdmissionReview.
import { loadPolicy, PortreeveError } from "portreeve";

const policy = await loadPolicy(process.env.POLICY ?? "policy.wasm", {
  settings: process.env.SETTINGS ?? "{}",
});

const server = Bun.serve({
  port: Number(process.env.PORT ?? 3000),
  routes: {
    "/validate": {
      POST: async (request) => Response.json(await policy.review(await request.text())),
    },
  },
  error(error) {
    if (!(error instanceof PortreeveError)) throw error;
    const refused = error.code === "invalid_json" || error.code === "invalid_review";
    return Response.json({ message: error.message }, { status: refused ? 400 : 500 });
  },
});
console.log(`listening on ${server.port}`);
process.on("SIGTERM", async () => {
  await server.stop();
  await policy.close();
});
