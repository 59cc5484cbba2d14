/** `scaffold artifacthub`: the file that Artifact Hub wants beside a policy. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { readGivenText, writeGiven } from "../apply/given_files.ts";
import { readMetadataFile } from "../apply/metadata_file.ts";
import { artifacthubText } from "../render/artifacthub.ts";
import { CliError, type Context, type Run } from "../types/command.ts";

const METADATA = ["metadata.yml", "metadata.yaml"];
const QUESTIONS = ["questions-ui.yml", "questions-ui.yaml", "questions.yml", "questions.yaml"];

const firstOf = ({ cwd }: Context, names: readonly string[]) =>
  names.find((name) => existsSync(resolve(cwd, name)));

export const run: Run = async (context, args) => {
  if (args.has("version")) {
    context.log(
      "WARN",
      "The 'version' flag is deprecated and will be removed in a future release. The value of the " +
        "`io.kubewarden.policy.version` field in the policy metadata file is used instead.",
    );
  }
  const metadataPath = args.value("metadata-path") ?? firstOf(context, METADATA);
  if (metadataPath === undefined) {
    throw new CliError(
      "path to metadata file not provided, plus 'metadata.yml' not found: give it with --metadata-path",
    );
  }
  const metadata = await readMetadataFile(context, metadataPath);
  const questionsPath = args.value("questions-path") ?? firstOf(context, QUESTIONS);
  const questions = questionsPath === undefined
    ? undefined
    : await readGivenText(context, questionsPath, "questions");
  const text = artifacthubText(metadata, questions, new Date().toISOString(), context.program);
  const output = args.value("output");
  if (output === undefined) return context.out(text);
  await writeGiven(context, output, text);
};
