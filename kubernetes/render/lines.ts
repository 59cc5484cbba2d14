/**
 * The lines of a text that arrives in pieces, without the empty ones. Fails with an Error on a line of more than `limit`
 * characters.
 */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const check = (length: number) => {
    if (length > limit) throw new Error(`a line has more than ${limit} characters`);
  };
  let rest = "";
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n", start)) {
      check(end - start);
      if (end > start) yield rest.slice(start, end);
      start = end + 1;
    }
    rest = rest.slice(start);
    check(rest.length);
  }
}
