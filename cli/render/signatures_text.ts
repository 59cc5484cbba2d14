/** The signatures of a policy, for people. */
import { byteText } from "./bytes.ts";

/** The manifest of a signature artefact, as far as it is shown. */
export interface SignatureManifest {
  readonly layers?: readonly {
    readonly mediaType?: string;
    readonly digest?: string;
    readonly size?: number;
    readonly annotations?: Readonly<Record<string, string>>;
  }[];
}

export function signaturesText({ layers = [] }: SignatureManifest): string {
  const text = layers.map(({ digest = "", mediaType = "", size = 0, annotations = {} }) =>
    [
      `Digest:     ${digest}`,
      `Media type: ${mediaType}`,
      `Size:       ${byteText(size)}`,
      "Annotations",
      ...Object.entries(annotations).map(([name, value]) => `  ${name}: ${value.replaceAll("\n", "\n    ")}`),
      "",
    ].join("\n")
  );
  return `Sigstore signatures\n\n${text.join("\n")}`;
}
