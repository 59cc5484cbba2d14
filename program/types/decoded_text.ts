/** What a file says, in the encodings that editors and shells give it. */

/** The encoding that a mark at the beginning tells. */
const MARKS = [["utf-16le", 0xff, 0xfe], ["utf-16be", 0xfe, 0xff]] as const;

/**
 * The text of `bytes`: UTF-8, or UTF-16 with a mark before it, as the `>` of Windows PowerShell writes it and `kubectl` reads it. The
 * mark is no part of the text.
 *
 * @throws {Error} they are of no such encoding: characters that are replaced in silence would be another configuration
 */
export function decodedText(bytes: Uint8Array): string {
  const [encoding] = MARKS.find(([, first, second]) => bytes[0] === first && bytes[1] === second) ??
    ["utf-8"];
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new Error("it is not UTF-8: save it as UTF-8");
  }
  if (text.includes("\0")) {
    throw new Error("it holds zero bytes, as UTF-16 without a mark or a binary file does: save it as UTF-8");
  }
  return text;
}

/** As {@link decodedText}, with what is of no encoding replaced: where that is told, or spoils only itself. */
export function looseText(bytes: Uint8Array): string {
  try {
    return decodedText(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}
