/** `run`: one request against a policy, a group, or every policy of a YAML file. */
import { DefinitionEvaluator } from "../apply/evaluator.ts";
import { readInputs } from "../apply/evaluation_inputs.ts";
import { worldFromFlags } from "../apply/host_world.ts";
import { oneLine } from "../../program/render/terminal_text.ts";
import { responseLine } from "../render/response_line.ts";
import { CliError, type Run } from "../types/command.ts";

export const run: Run = async (context, args) => {
  const inputs = await readInputs(context, args, args.word("uri_or_sha_prefix_or_yaml_file"));
  if (inputs.definitions.length > 1) {
    context.log(
      "WARN",
      "Multiple policies defined inside of the CRD file. All of them will run sequentially using the same request.",
    );
  }
  const world = await worldFromFlags(context, args, inputs.fetching);
  const evaluator = new DefinitionEvaluator(context, inputs.options, world);
  try {
    for (const definition of inputs.definitions) {
      const ready = await evaluator.load(definition, inputs.modules);
      if (ready.settings !== undefined) {
        const which = inputs.definitions.length > 1 ? ` (policy ${oneLine(definition.id)})` : "";
        throw new CliError(`Provided settings are not valid: ${ready.settings}${which}`);
      }
      for (const { about, reviewFor } of inputs.requests) {
        if (about !== undefined && inputs.requests.length > 1) context.log("INFO", about);
        const { review, raw } = reviewFor(definition);
        const response = await evaluator.judge(ready, review, raw);
        context.out(`${responseLine(review.uid, response)}\n`);
      }
    }
  } finally {
    await evaluator.close();
    await world.close();
  }
};
