/** IP addresses as numbers, to compare them with networks. */

/** An IPv4 address in dotted decimals; `undefined` for anything else. */
export function ipv4(text: string): number | undefined {
  const parts = text.split(".").map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : 256));
  if (parts.length !== 4 || parts.some((part) => part > 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

/** An IPv6 address; `undefined` for anything else. */
export function ipv6(text: string): bigint | undefined {
  if (!/^[0-9a-f:.]+$/i.test(text) || !text.includes(":")) return undefined;
  const [head = "", tail, more] = text.split("::");
  if (more !== undefined) return undefined;
  const words = (part: string) => (part === "" ? [] : part.split(":"));
  const first = words(head);
  const last = words(tail ?? "");
  const gap = tail === undefined ? 0 : 8 - first.length - last.length;
  const all = [...first, ...Array<string>(Math.max(0, gap)).fill("0"), ...last];
  if (all.length !== 8 || !all.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return undefined;
  return all.reduce((sum, word) => (sum << 16n) | BigInt(`0x${word}`), 0n);
}
