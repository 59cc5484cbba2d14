/** `explain`: one request against one policy, told step by step. */
import { createHash } from "node:crypto";
import process from "node:process";
import { DefinitionEvaluator } from "../apply/evaluator.ts";
import { type EvaluationInputs, readInputs, type RequestInput } from "../apply/evaluation_inputs.ts";
import { type HostWorld, worldFromFlags } from "../apply/host_world.ts";
import { shownUri } from "../apply/resolve.ts";
import { type ExplainedCall, type Explanation, explanationText } from "../render/explanation.ts";
import type { Context, Run } from "../types/command.ts";
import { type Definition, modulesOf, titleOf } from "../types/definition.ts";

const decoder = new TextDecoder();

/** The same world; `onCall` hears of everything that is asked of it, and by whom. */
function observedWorld(
  world: HostWorld,
  onCall: (call: Omit<ExplainedCall, "member">, policy: string) => void,
): HostWorld {
  const timed = async (
    policy: string,
    call: string,
    payload: string,
    ask: () => Promise<Uint8Array>,
  ): Promise<Uint8Array> => {
    const started = performance.now();
    const tell = (answer: ExplainedCall["answer"]) =>
      onCall({ call, payload, answer, milliseconds: performance.now() - started }, policy);
    try {
      const bytes = await ask();
      tell({ payload: decoder.decode(bytes) });
      return bytes;
    } catch (error) {
      tell({ error: (error as Error).message });
      throw error;
    }
  };
  return {
    begin: (again) => world.begin(again),
    forPolicy(resources) {
      const { capabilities, inventory } = world.forPolicy(resources);
      return {
        capabilities: Object.fromEntries(
          Object.entries(capabilities).map(([path, capability]) => [
            path,
            (payload: Uint8Array, caller: Parameters<typeof capability>[1]) =>
              timed(
                caller.policy,
                path,
                decoder.decode(payload),
                async () => await capability(payload, caller),
              ),
          ]),
        ),
        async inventory(request, policy) {
          const started = performance.now();
          const answer = await inventory(request, policy);
          onCall({
            call: "inventory",
            payload: JSON.stringify(request.resources),
            answer: answer.ok ? { payload: decoder.decode(answer.payload) } : { error: answer.error },
            milliseconds: performance.now() - started,
          }, policy);
          return answer;
        },
      };
    },
    close: () => world.close(),
  };
}

/** The same context; what policies log goes to `logs` instead. */
function withPolicyLogs(context: Context, definition: Definition, logs: string[]): Context {
  return {
    ...context,
    log(level, message, fields = {}) {
      if (fields["policy_id"] === undefined) return context.log(level, message, fields);
      const { policy_id: policy, ...rest } = fields;
      const more = Object.entries(rest).map(([name, value]) => ` ${name}=${value}`).join("");
      const member = definition.kind === "group" ? ` ${JSON.parse(policy) as string}:` : "";
      logs.push(`${level}${member} ${message}${more}`);
    },
  };
}

function settingsText(definition: Definition): string {
  if (definition.kind === "policy") return definition.settingsJson;
  return [...definition.members].map(([name, { settingsJson }]) => `${name}: ${settingsJson}`).join("; ");
}

/** Tells the story of one definition. `calls` is what it asks of `world` meanwhile. */
async function explainDefinition(
  context: Context,
  inputs: EvaluationInputs,
  definition: Definition,
  { reviewFor }: RequestInput,
  world: HostWorld,
  calls: ExplainedCall[],
): Promise<Explanation> {
  const logs: string[] = [];
  const evaluator = new DefinitionEvaluator(withPolicyLogs(context, definition, logs), inputs.options, world);
  const memoryBefore = process.memoryUsage.rss();
  try {
    const { review, raw } = reviewFor(definition);
    const loaded = await evaluator.load(definition, inputs.modules);
    const settingsStarted = performance.now();
    await evaluator.validateSettings(loaded);
    const settingsMs = performance.now() - settingsStarted;
    let verdict: Explanation["verdict"];
    calls.length = 0;
    logs.length = 0;
    if (loaded.settings === undefined) {
      const started = performance.now();
      const response = await evaluator.judge(loaded, review, raw);
      verdict = { response, milliseconds: performance.now() - started };
    }
    const bytes = Buffer.concat(review.pieces);
    return {
      title: titleOf(definition),
      modules: modulesOf(definition).map(({ uri }) => {
        const { bytes, metadata, mode } = inputs.modules.get(uri)!;
        const sha256 = createHash("sha256").update(bytes).digest("hex");
        return { uri: shownUri(uri), sha256, bytes: bytes.length, mode, metadata };
      }),
      settings: {
        json: settingsText(definition),
        refusal: loaded.settings,
        milliseconds: settingsMs,
      },
      request: { uid: review.uid, operation: review.operation, kind: review.kind, bytes: bytes.length },
      calls: [...calls],
      logs,
      verdict,
      object: (JSON.parse(decoder.decode(bytes)) as { object?: unknown }).object,
      memory: Math.max(0, process.memoryUsage.rss() - memoryBefore),
    };
  } finally {
    await evaluator.close();
  }
}

export const run: Run = async (context, args) => {
  const inputs = await readInputs(context, args, args.word("uri_or_sha_prefix_or_yaml_file"));
  const calls: ExplainedCall[] = [];
  let group = false;
  const world = observedWorld(
    await worldFromFlags(context, args, inputs.fetching),
    (call, policy) => calls.push({ ...call, member: group ? policy : undefined }),
  );
  try {
    for (const definition of inputs.definitions) {
      group = definition.kind === "group";
      for (const request of inputs.requests) {
        context.out(
          explanationText(await explainDefinition(context, inputs, definition, request, world, calls)),
        );
      }
    }
  } finally {
    await world.close();
  }
};
