/**
 * How much work a DER value is to the package that reads certificates and timestamps (`@sigstore/core`, `asn1/obj.js`). It tries to read
 * each octet string as further DER and, where that fails, goes on behind it; what it tries may reach beyond the string. So a kilobyte
 * of octet strings in each other is read more often than any time allows. Here the same steps are counted, up to a limit.
 */
import { ArtifactError } from "./error.ts";

/** Certificates and timestamps take some hundred. */
const MAX_STEPS = 10_000;
/** As deep as the package reads. */
const MAX_DEPTH = 100;
const FAILED = -1;

/**
 * Checks that DER takes no more than some thousand steps to be read. Whether it is DER is for who reads it.
 *
 * @param what names it in the error: `the certificate`
 * @throws {ArtifactError} `signature`
 */
export function requireCheapDer(bytes: Uint8Array, what: string): void {
  let steps = 0;

  /** Reads one value. Returns where it ends, or {@link FAILED} where the package throws. */
  function element(start: number, depth: number): number {
    if (++steps > MAX_STEPS) {
      throw new ArtifactError("signature", `${what} takes more than ${MAX_STEPS} steps to be read`);
    }
    if (depth > MAX_DEPTH || start + 1 >= bytes.length) return FAILED;
    const tag = bytes[start]!;
    if ((tag & 0x1f) === 0x1f || (tag & 0xdf) === 0) return FAILED;
    let at = start + 1;
    let length = bytes[at++]!;
    if (length >= 0x80) {
      const count = length & 0x7f;
      if (count > 6 || at + count > bytes.length || bytes[at] === 0) return FAILED;
      length = 0;
      for (let index = 0; index < count; index++) length = length * 256 + bytes[at++]!;
      if (length < 128) return FAILED;
    }
    const end = at + length;
    if (end > bytes.length) return FAILED;
    const constructed = (tag & 0x20) !== 0;
    const octets = (tag & 0xdf) === 0x04;
    if (!constructed && !octets) return end;
    let inner = at;
    while (inner !== FAILED && inner < end) inner = element(inner, depth + 1);
    if (inner === end) return end;
    return constructed ? FAILED : end;
  }

  element(0, 0);
}
