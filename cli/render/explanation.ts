/** What `reeve explain` tells, step by step. */
import { own } from "../../program/types/own.ts";
import type { PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { joined, oneLine, styled } from "../../program/render/terminal_text.ts";
import type { Text } from "../../program/types/text.ts";
import type { AdmissionResponse } from "../../admission/types/admission.ts";
import { byteText } from "./bytes.ts";
import { patchText } from "./json_difference.ts";

export interface ExplainedModule {
  readonly uri: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly mode: string;
  readonly metadata: PolicyMetadata | undefined;
}

export interface ExplainedCall {
  /** The member of a group that calls. */
  readonly member: string | undefined;
  readonly call: string;
  readonly payload: string;
  readonly answer: { readonly payload: string } | { readonly error: string };
  readonly milliseconds: number;
}

export interface Explanation {
  readonly title: string;
  readonly modules: readonly ExplainedModule[];
  readonly settings: {
    readonly json: string;
    readonly refusal: string | undefined;
    readonly milliseconds: number;
  };
  readonly request: {
    readonly uid: string;
    readonly operation: string;
    readonly kind: string;
    readonly bytes: number;
  };
  readonly calls: readonly ExplainedCall[];
  readonly logs: readonly string[];
  /** Undefined: the settings were refused. */
  readonly verdict: { readonly response: AdmissionResponse; readonly milliseconds: number } | undefined;
  readonly object: unknown;
  /** How much the process grew, in bytes. */
  readonly memory: number;
}

/** Longer payloads are cut, with a note of how long they are. */
const SHOWN = 400;

const cut = (text: string): string =>
  text.length <= SHOWN ? oneLine(text) : `${oneLine(text.slice(0, SHOWN))}… (${text.length} characters)`;

/** Words of others, as they wrote them line by line: they can't steer the terminal, or look like a part of the story. */
const quoted = (text: string, indent: string): string =>
  text.split(/\r?\n/).map(oneLine).join(`\n${indent}  `);

const milliseconds = (time: number): string => `${time.toFixed(time < 10 ? 2 : 1)} ms`;

function moduleLines({ uri, sha256, bytes, mode, metadata }: ExplainedModule): string[] {
  const annotation = (name: string) => own(metadata?.annotations, `io.kubewarden.policy.${name}`);
  const wants = metadata?.contextAwareResources.map(({ apiVersion, kind }) => `${apiVersion}/${kind}`) ?? [];
  return [
    `  ${oneLine(uri)}`,
    `    sha256 ${sha256}, ${byteText(bytes)}, execution mode ${mode}`,
    ...(metadata === undefined ? ["    it is not annotated"] : [
      `    ${oneLine(annotation("title") ?? "without a title")}${
        annotation("version") ? ` ${oneLine(annotation("version")!)}` : ""
      }, ${metadata.mutating ? "may change objects" : "changes nothing"}, ${
        metadata.policyType === "raw" ? "judges raw requests" : "judges admission requests"
      }`,
    ]),
    ...(wants.length > 0 ? [`    wants to read ${oneLine(wants.join(", "))}`] : []),
  ];
}

function verdictLines({ response, milliseconds: time }: NonNullable<Explanation["verdict"]>): string[] {
  const { allowed, status, warnings, auditAnnotations } = response;
  return [
    `  ${allowed ? "allowed" : "rejected"} in ${milliseconds(time)}`,
    ...(status?.message === undefined ? [] : [`  message: ${quoted(status.message, "  ")}`]),
    ...(status?.code === undefined ? [] : [`  code: ${status.code}`]),
    ...(status?.details?.causes ?? []).map(({ field, message }) =>
      `  cause: ${quoted(`${field ?? "-"}: ${message ?? "-"}`, "  ")}`
    ),
    ...(warnings ?? []).map((warning) => `  warning: ${quoted(warning, "  ")}`),
    ...Object.entries(auditAnnotations ?? {}).map(([name, value]) =>
      `  audit annotation: ${quoted(`${name}=${value}`, "  ")}`
    ),
  ];
}

/** The whole story. */
export function explanationText(story: Explanation): Text {
  const heading = (text: string) => styled("1;36", oneLine(text));
  const { title, modules, settings, request, calls, logs, verdict, object, memory } = story;
  const callLines = calls.flatMap(({ member, call, payload, answer, milliseconds: time }, index) => [
    `  ${index + 1}. ${member === undefined ? "" : `${oneLine(member)}: `}${oneLine(call)} ${cut(payload)}`,
    "error" in answer
      ? `     refused after ${milliseconds(time)}: ${quoted(answer.error, "     ")}`
      : `     answered after ${milliseconds(time)}: ${cut(answer.payload)}`,
  ]);
  const { response } = verdict ?? {};
  return joined([
    heading(title),
    ...modules.flatMap(moduleLines),
    "",
    heading("Settings"),
    `  ${cut(settings.json)}`,
    settings.refusal === undefined
      ? `  accepted in ${milliseconds(settings.milliseconds)}`
      : `  refused in ${milliseconds(settings.milliseconds)}: ${quoted(settings.refusal, "  ")}`,
    "",
    heading("Request"),
    `  ${
      oneLine(
        [request.operation, request.kind, `uid ${request.uid}`, byteText(request.bytes)].filter((part) =>
          part !== ""
        ).join(", "),
      )
    }`,
    "",
    heading("Host calls"),
    ...(callLines.length > 0 ? callLines : ["  none"]),
    ...(logs.length > 0 ? ["", heading("Log"), ...logs.map((line) => `  ${oneLine(line)}`)] : []),
    "",
    heading("Verdict"),
    ...(verdict === undefined
      ? ["  none: with these settings the policy judges nothing"]
      : verdictLines(verdict)),
    ...(response?.patch === undefined ? [] : ["", heading("Patch"), patchText(response.patch, object)]),
    "",
    heading("Spent"),
    `  ${milliseconds(settings.milliseconds + (verdict?.milliseconds ?? 0))} in all; the process grew by ${
      byteText(memory)
    }`,
    "",
  ], "\n");
}
