/** What is said of a folder that can't be written to. */

const REASONS: ReadonlyMap<unknown, string> = new Map([
  ["EACCES", "Permission denied (os error 13)"],
  ["EPERM", "Operation not permitted (os error 1)"],
  ["EROFS", "Read-only file system (os error 30)"],
  ["ENOSPC", "No space left on device (os error 28)"],
]);

/**
 * One line that names the folder, why it can't be written to and `instead`, what its user may choose; undefined when `cause` has
 * another reason.
 */
export function unwritable(folder: string, cause: unknown, instead: string): string | undefined {
  const reason = REASONS.get((cause as { readonly code?: unknown } | null)?.code);
  return reason === undefined
    ? undefined
    : `cannot write to ${folder}: ${reason}; let this user write there, or choose another folder with ${instead}`;
}
