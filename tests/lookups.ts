/**
 * Finds every place in the product where an object is asked for a member by a name that is not fixed in the code, by the types
 * that the compiler gives names and objects. An object answers to what it inherits as well, so such names go through a `Map`,
 * `own` and `setOwn` (`program/types/own.ts`), or stand behind `Object.hasOwn` of the same object and name.
 */
import { type Checker, type Type, TypeFlags } from "typescript/unstable/sync";
import { type Node, type SourceFile, SyntaxKind } from "typescript/unstable/ast";
import { checkFiles } from "./compiler.ts";

/** Names of these types are no texts that somebody sent: numbers, symbols, and texts that the code lists. */
const FIXED = TypeFlags.NumberLike | TypeFlags.StringLiteral | TypeFlags.ESSymbolLike | TypeFlags.Undefined |
  TypeFlags.Null | TypeFlags.Never;

/** What is looked up, where. */
export interface Lookup {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

type Site = { readonly node: Node; readonly object: Node; readonly name: Node };

function sitesOf(source: SourceFile): readonly Site[] {
  const sites: Site[] = [];
  const visit = (node: Node) => {
    // deno-lint-ignore no-explicit-any -- the library's nodes are told apart by their kind alone
    const parts = node as any;
    if (node.kind === SyntaxKind.ElementAccessExpression) {
      sites.push({ node, object: parts.expression, name: parts.argumentExpression });
    } else if (
      node.kind === SyntaxKind.BinaryExpression && parts.operatorToken.kind === SyntaxKind.InKeyword &&
      parts.left.kind !== SyntaxKind.PrivateIdentifier
    ) sites.push({ node, object: parts.right, name: parts.left });
    node.forEachChild(visit);
  };
  source.forEachChild(visit);
  return sites.filter(({ name }) =>
    name.kind !== SyntaxKind.StringLiteral && name.kind !== SyntaxKind.NumericLiteral
  );
}

const partsOf = (type: Type): readonly Type[] =>
  (type.flags & TypeFlags.Union) === 0
    ? [type]
    : (type as unknown as { getTypes(): readonly Type[] }).getTypes().flatMap(partsOf);

function isFixed(checker: Checker, type: Type | undefined): boolean {
  if (type === undefined) return false;
  return partsOf(type).every((part) => {
    if ((part.flags & FIXED) !== 0) return true;
    // `T[K]`, `keyof T`: what it can be at most.
    const widest = checker.getBaseConstraintOfType(part);
    return widest !== undefined && widest !== part &&
      partsOf(widest).every(({ flags }) => (flags & FIXED) !== 0);
  });
}

/** Whether the nearest function around it asks `Object.hasOwn` for this name of this object. */
function isGuarded({ node, object, name }: Site, source: SourceFile): boolean {
  const textOf = (of: Node) => source.text.slice(of.pos, of.end).trim();
  const guard = `Object.hasOwn(${textOf(object)}, ${textOf(name)})`;
  for (let around: Node | undefined = node.parent; around !== undefined; around = around.parent) {
    if (around.kind === SyntaxKind.SourceFile) return false;
    if (source.text.slice(around.pos, node.pos).includes(guard)) return true;
    const { kind } = around;
    if (
      kind === SyntaxKind.FunctionDeclaration || kind === SyntaxKind.MethodDeclaration ||
      kind === SyntaxKind.ArrowFunction || kind === SyntaxKind.FunctionExpression
    ) return false;
  }
  return false;
}

/** All such places in the files of the project at `root` that `covered` names, by their paths from there. */
export function uncheckedLookups(
  root: string,
  config: string,
  covered: (file: string) => boolean,
): readonly Lookup[] {
  return checkFiles(root, config, covered, ({ file, source, checker }) => {
    const sites = sitesOf(source);
    const names = checker.getTypeAtLocation(sites.map(({ name }) => name));
    const unfixed = sites.filter((_, index) => !isFixed(checker, names[index]));
    const objects = checker.getTypeAtLocation(unfixed.map(({ object }) => object));
    return unfixed.flatMap((site, index) => {
      const type = objects[index];
      // What an instance of WebAssembly exports inherits nothing.
      if (type !== undefined && checker.typeToString(type) === "Exports") return [];
      if (isGuarded(site, source)) return [];
      const text = source.text.slice(site.node.pos, site.node.end).trim().replace(/\s+/g, " ");
      return [{ file, line: source.text.slice(0, site.node.end).split("\n").length, text }];
    });
  });
}
