/** The signatures of a policy, for people. */
import { oneLine } from "../../program/render/terminal_text.ts";
import { byteText } from "./bytes.ts";

/** The manifest of a signature artefact, as far as it is shown. */
export interface SignatureManifest {
  readonly layers?: readonly {
    readonly mediaType?: string;
    readonly digest?: string;
    readonly size?: number;
    /** As the registry sent them. */
    readonly annotations?: Readonly<Record<string, unknown>> | null;
  }[];
}

export function signaturesText({ layers = [] }: SignatureManifest): string {
  const text = layers.map(({ digest = "", mediaType = "", size = 0, annotations }) =>
    [
      `Digest:     ${oneLine(digest)}`,
      `Media type: ${oneLine(mediaType)}`,
      `Size:       ${byteText(size)}`,
      "Annotations",
      ...Object.entries(annotations ?? {}).map(([name, value]) =>
        `  ${oneLine(name)}: ${
          String(typeof value === "string" ? value : JSON.stringify(value)).replaceAll("\n", "\n    ")
        }`
      ),
      "",
    ].join("\n")
  );
  return `Sigstore signatures\n\n${text.join("\n")}`;
}
