/** System errors in the words that the original's users know. */
import { own } from "../types/own.ts";

const TEXTS: Readonly<Record<string, string>> = {
  EPERM: "Operation not permitted (os error 1)",
  ENOENT: "No such file or directory (os error 2)",
  EACCES: "Permission denied (os error 13)",
  EEXIST: "File exists (os error 17)",
  ENOTDIR: "Not a directory (os error 20)",
  EISDIR: "Is a directory (os error 21)",
  ENOSPC: "No space left on device (os error 28)",
  EROFS: "Read-only file system (os error 30)",
  ENAMETOOLONG: "File name too long (os error 36)",
  ELOOP: "Too many levels of symbolic links (os error 40)",
};

/** `No such file or directory (os error 2)` for an `ENOENT`, and so on; other errors have their own message. */
export function osErrorText(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  return (typeof code === "string" ? own(TEXTS, code) : undefined) ?? String(message ?? error);
}

/** The same for a file that could not be written, with what to do where this user may not write there. */
export function writeErrorText(error: unknown): string {
  const advice = /^E(ACCES|PERM|ROFS)$/.test(String((error as { readonly code?: unknown }).code))
    ? "; choose a place that this user may write to"
    : "";
  return osErrorText(error) + advice;
}
