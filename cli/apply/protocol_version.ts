/** Which version of the waPC protocol a module speaks: it is asked. */
import { InlineEvaluator } from "../../evaluator/apply/inline.ts";
import { prepareModule } from "../../evaluator/apply/prepare.ts";
import { CliError } from "../types/command.ts";

const LIMIT_MS = 10_000;

/** `v1` or `Unknown`. Throws {@link CliError}. */
export async function protocolVersion(module: Uint8Array): Promise<"v1" | "Unknown"> {
  const failed = (reason: string) =>
    new CliError(`Error while detecting Kubewarden protocol version: ${reason}`);
  const evaluator = new InlineEvaluator();
  try {
    const prepared = await prepareModule(module, { memoryMib: 256 }, "kubewarden-wapc").catch((error) => {
      throw failed((error as Error).message);
    });
    const policy = evaluator.addPolicy(
      {
        id: "policy",
        module: evaluator.addModule(prepared),
        settings: new TextEncoder().encode("{}"),
        limitMs: LIMIT_MS,
      },
      () => ({ ok: false, error: "host calls are not answered here" }),
    );
    const outcome = await evaluator.protocolVersion(policy);
    if (outcome.kind === "protocol") return outcome.version === "v1" ? "v1" : "Unknown";
    throw failed(outcome.kind === "error" ? outcome.message : outcome.kind);
  } finally {
    await evaluator.close();
  }
}
