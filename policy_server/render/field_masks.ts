/**
 * Field masks: which members of an object a policy wants to see (`spec/evaluator.md §5.8`). A mask is a path of keys with dots
 * between them; arrays are passed through.
 */

/** The members wanted, each with what is wanted of it; without members: all of it. */
export interface MaskTree {
  readonly members: ReadonlyMap<string, MaskTree>;
}

interface Growing {
  readonly members: Map<string, Growing>;
}

/** The tree of all masks; undefined for none, which stands for whole objects. Of `a` and `a.b`, the latter wins. */
export function maskTree(masks: readonly string[]): MaskTree | undefined {
  if (masks.length === 0) return undefined;
  const root: Growing = { members: new Map() };
  for (const mask of masks) {
    let at = root;
    for (const key of mask.split(".")) {
      let next = at.members.get(key);
      if (!next) at.members.set(key, next = { members: new Map() });
      at = next;
    }
  }
  return root;
}
