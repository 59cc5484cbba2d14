/**
 * Finds files and functions that are longer than a reader takes in, unless a comment says why they are one piece: a line that begins
 * `// In one piece: `, directly above the function, or above the imports of the file.
 */
import { type Node, type SourceFile, SyntaxKind } from "typescript/unstable/ast";
import { checkFiles } from "./compiler.ts";

/** Lines from the first word of a function to its closing brace, what it encloses counted. */
const MAX_FUNCTION_LINES = 60;
/** Lines of a file. */
const MAX_FILE_LINES = 400;

/** What is long, where. */
export interface LongPiece {
  readonly file: string;
  /** Of the function's first word; absent for the whole file. */
  readonly line?: number;
  readonly lines: number;
  /** How many it may have. */
  readonly most: number;
}

const WHY = /^\s*\/\/ In one piece: \S/;
const COMMENT = /^\s*(?:\/\/|\/?\*)/;

const FUNCTIONS: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.FunctionDeclaration,
  SyntaxKind.FunctionExpression,
  SyntaxKind.ArrowFunction,
  SyntaxKind.MethodDeclaration,
  SyntaxKind.Constructor,
  SyntaxKind.GetAccessor,
  SyntaxKind.SetAccessor,
]);

/** Whether the comments right above a line say why what follows is in one piece. */
function isExplained(lines: readonly string[], line: number): boolean {
  for (let above = line - 2; above >= 0 && COMMENT.test(lines[above]!); above--) {
    if (WHY.test(lines[above]!)) return true;
  }
  return false;
}

function longFunctions(file: string, source: SourceFile, lines: readonly string[]): readonly LongPiece[] {
  const starts = [0];
  for (const line of lines) starts.push(starts.at(-1)! + line.length + 1);
  const lineOf = (position: number) => starts.findLastIndex((start) => start <= position) + 1;
  const found: LongPiece[] = [];
  const visit = (node: Node) => {
    if (FUNCTIONS.has(node.kind)) {
      const line = lineOf(node.getStart(source));
      const length = lineOf(node.end - 1) - line + 1;
      if (length > MAX_FUNCTION_LINES && !isExplained(lines, line)) {
        found.push({ file, line, lines: length, most: MAX_FUNCTION_LINES });
      }
    }
    node.forEachChild(visit);
  };
  source.forEachChild(visit);
  return found;
}

/** All such files and functions of the project at `root` that `covered` names. */
export function longPieces(
  root: string,
  config: string,
  covered: (file: string) => boolean,
): readonly LongPiece[] {
  return checkFiles(root, config, covered, ({ file, source }) => {
    const lines = source.text.replace(/\n$/, "").split("\n");
    const firstImport = lines.findIndex((line) => /^(?:import|export|const|function)\b/.test(line));
    const long = lines.length > MAX_FILE_LINES && !isExplained(lines, firstImport + 1);
    return [
      ...long ? [{ file, lines: lines.length, most: MAX_FILE_LINES }] : [],
      ...longFunctions(file, source, lines),
    ];
  });
}
