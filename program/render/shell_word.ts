/** One word as a shell takes it: what people paste. */

/**
 * A word for the shell of a Unix, or for both of Windows (cmd and PowerShell), quoted where it has to be.
 *
 * @example
 * ```ts
 * shellWord("/tmp/a b", false); // '/tmp/a b'
 * ```
 */
export function shellWord(word: string, windows: boolean): string {
  // PowerShell reads `@` in front, and a comma anywhere, as syntax of its own.
  if (windows) return /^[\w%+=:./\\-]+$/.test(word) ? word : `"${word}"`;
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
