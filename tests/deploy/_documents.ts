/**
 * Commands in Markdown, for the test that runs them. A fenced block counts by the words after its fence:
 *
 * - `sh`: must succeed; blocks of one document run in order, each in a shell of its own that ends at the first error;
 * - `sh fails`: its last command must fail;
 * - `sh not-run: REASON`: can't run in the test (another cluster, a cloud's tool); counted as skipped, with the reason;
 * - `text` right after one of them: lines that its output must hold; `…` stands for anything.
 *
 * `console` is for what is shown and `yaml` for files; neither is run.
 */

/** A block of commands. */
export interface Block {
  /** Where its first command is. */
  readonly line: number;
  readonly script: string;
  readonly fails: boolean;
  /** Why it can't run. */
  readonly notRun?: string;
  /** Lines that its output must hold. */
  readonly output: readonly string[];
}

/** The blocks of a document, in order. Throws on a fence that is none of the above. */
export function blocksIn(markdown: string): readonly Block[] {
  const lines = markdown.split("\n");
  const blocks: Block[] = [];
  let previousEnd = -2;
  for (let index = 0; index < lines.length; index++) {
    const fence = /^\s*```(.*)$/.exec(lines[index]!);
    if (fence === null) continue;
    const indent = lines[index]!.length - lines[index]!.trimStart().length;
    const end = lines.findIndex((line, at) => at > index && line.trim() === "```");
    if (end < 0) throw new Error(`line ${index + 1}: the block never ends`);
    const content = lines.slice(index + 1, end).map((line) => line.slice(indent));
    const info = fence[1]!.trim();
    const notRun = /^sh not-run: (.+)$/.exec(info)?.[1];
    if (info === "sh" || info === "sh fails" || notRun !== undefined) {
      blocks.push({
        line: index + 2,
        script: content.join("\n"),
        fails: info === "sh fails",
        ...(notRun === undefined ? {} : { notRun }),
        output: [],
      });
      previousEnd = end;
    } else if (info === "text" && previousEnd >= 0 && index - previousEnd <= 2) {
      blocks.push({ ...blocks.pop()!, output: content.filter((line) => line.trim() !== "") });
    } else if (!["text", "yaml", "json", "console"].includes(info)) {
      throw new Error(`line ${index + 1}: a block of "${info}": see tests/deploy/_documents.ts`);
    }
    index = end;
  }
  return blocks;
}

/** The first line of a block's expected output that is not in what was printed. */
export function missingLine({ output }: Block, printed: string): string | undefined {
  const squeezed = printed.replace(/\s+/g, " ");
  return output.find((line) => {
    const parts = line.trim().split("…").map((part) => part.trim().replace(/\s+/g, " "));
    let from = 0;
    return parts.some((part) => {
      const at = squeezed.indexOf(part, from);
      from = at + part.length;
      return at < 0;
    });
  });
}
