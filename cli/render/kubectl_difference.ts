/** Where a custom resource says something else to `kubectl apply`, which reads YAML 1.1, than it does here and to kwctl. */
import { type DocumentValue, jsonText, repeatedKeys } from "../../policy_server/types/document.ts";
import { boundedText } from "../../program/types/bounded_text.ts";

/** A value that is read in two ways; `at` is its offset in the text. */
export type KubectlDifference = { readonly text: string; readonly at: number };

/** Whether two values are read as the same; `1.0` and `1` are the same number. */
function same(own: DocumentValue, other: DocumentValue): boolean {
  if (own.kind !== "number" || other.kind !== "number" || own.integer) {
    return jsonText(own) === jsonText(other);
  }
  return Number(own.json) === Number(other.json);
}

/** More of them say no more. */
const MAX_TOLD = 10;

/**
 * The differences between the two readings of a text's documents, as sentences.
 *
 * @param here the documents as they are evaluated
 * @param applied the same as `kubectl` reads them
 */
export function kubectlDifferences(
  here: readonly DocumentValue[],
  applied: readonly DocumentValue[],
): readonly KubectlDifference[] {
  const found: KubectlDifference[] = [];
  const seen = new Set<DocumentValue>();
  const visit = (own: DocumentValue, other: DocumentValue | undefined, path: string): void => {
    if (other === undefined || found.length >= MAX_TOLD || seen.has(own)) return;
    seen.add(own);
    const below = (name: string) => path === "" ? name : `${path}.${name}`;
    if (own.kind === "list" && other.kind === "list") {
      own.items.forEach((item, index) => visit(item, other.items[index], `${path}[${index}]`));
    } else if (own.kind === "map" && other.kind === "map") {
      const applied = new Map(other.entries.map((entry) => [entry.keyAt, entry]));
      for (const { key, keyAt, value } of own.entries) {
        const entry = applied.get(keyAt);
        if (entry !== undefined && entry.key !== key) {
          const text = `the key of ${below(key)} is ${
            boundedText(JSON.stringify(entry.key), 40)
          } for kubectl: write it in quotes`;
          found.push({ text, at: keyAt });
        }
        // To kubectl a `<<` that merges is no key.
        if (entry === undefined && key === "<<") {
          found.push({
            text: `${below(key)} is a key here, and merges maps for kubectl: write the keys out`,
            at: keyAt,
          });
        } else visit(value, entry?.value, below(key));
      }
    } else if (!same(own, other)) {
      const shown = (value: DocumentValue) => boundedText(jsonText(value), 40);
      found.push({
        text: `${path} is ${shown(own)} here, and ${
          shown(other)
        } for kubectl: write what is meant, a text in quotes`,
        at: own.at,
      });
    }
  };
  here.forEach((document, index) => visit(document, applied[index], ""));
  for (const { path, againAt } of applied.flatMap(repeatedKeys)) {
    found.push({ text: `${path} is given twice for kubectl: remove one`, at: againAt });
  }
  return found.slice(0, MAX_TOLD);
}
