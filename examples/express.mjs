// An admission webhook with Express: POST /validate answers an AdmissionReview.
import process from "node:process";
import express from "express";
import { loadPolicy, PortreeveError } from "portreeve";

const policy = await loadPolicy(process.env.POLICY ?? "policy.wasm", { settings: process.env.SETTINGS ?? "{}" });
const app = express();

// As text: what the API server sent reaches the policy byte for byte, numbers as they were written.
app.post("/validate", express.text({ type: "application/json", limit: "8mb" }), async (request, response) => {
  try {
    response.json(await policy.review(request.body));
  } catch (error) {
    // No review, or one of another shape; whatever else goes wrong is the framework's to report.
    if (!(error instanceof PortreeveError)) throw error;
    const refused = error.code === "invalid_json" || error.code === "invalid_review";
    response.status(refused ? 400 : 500).json({ message: error.message });
  }
});

const server = app.listen(Number(process.env.PORT ?? 3000), () => console.log(`listening on ${server.address().port}`));
process.on("SIGTERM", () => server.close(() => policy.close()));
