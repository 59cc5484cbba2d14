/** An admission response in words. */
import { boundedText } from "../../../program/types/bounded_text.ts";
import { oneLine } from "../../../program/render/terminal_text.ts";

const MAX_WORDS = 160;

interface Response {
  readonly allowed?: boolean;
  readonly status?: { readonly message?: string; readonly code?: number };
  readonly patch?: string;
}

/** One step of a JSON Patch: `set /spec/securityContext to {...}`. */
function step(
  { op, path, value }: { readonly op?: string; readonly path?: string; readonly value?: unknown },
) {
  return value === undefined ? `${op} ${path}` : `set ${path} to ${JSON.stringify(value)}`;
}

/**
 * What the AdmissionReview `body` says, in one line.
 *
 * @throws {SyntaxError} when the body is no JSON
 */
export function answerWords(body: string): string {
  const { response } = JSON.parse(body) as { readonly response?: Response };
  if (response?.allowed === undefined) return `no verdict: ${boundedText(oneLine(body), MAX_WORDS)}`;
  if (!response.allowed) {
    const { message = "no reason was given", code } = response.status ?? {};
    return `rejected${code === undefined ? "" : ` (code ${code})`}: ${
      boundedText(oneLine(message), MAX_WORDS)
    }`;
  }
  if (response.patch === undefined) return "allowed";
  // Node 24 has no `Uint8Array.fromBase64`.
  const patch = Uint8Array.from(atob(response.patch), (unit) => unit.charCodeAt(0));
  const steps = JSON.parse(new TextDecoder().decode(patch)) as readonly object[];
  return `allowed and changed: ${boundedText(oneLine(steps.map(step).join(", ")), MAX_WORDS)}`;
}
