// An admission webhook with Hono: POST /validate answers an AdmissionReview.
import process from "node:process";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { loadPolicy, PortreeveError } from "portreeve";

const policy = await loadPolicy(process.env.POLICY ?? "policy.wasm", { settings: process.env.SETTINGS ?? "{}" });
const app = new Hono();

app.post("/validate", async (context) => context.json(await policy.review(await context.req.text())));
app.onError((error, context) => {
  if (!(error instanceof PortreeveError)) throw error;
  const refused = error.code === "invalid_json" || error.code === "invalid_review";
  return context.json({ message: error.message }, refused ? 400 : 500);
});

const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) }, ({ port }) => {
  console.log(`listening on ${port}`);
});
process.on("SIGTERM", () => server.close(() => policy.close()));
