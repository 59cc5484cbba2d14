/** A trust root in the form in which it is used: parsed certificates and keys (`spec/fetch-verify.md §10.2`). */
import type { TrustedRoot, X509Certificate } from "../../../deps.ts";
import { trustedRootOf, type TrustRoot } from "../../types/trust_root.ts";
import { certificateFromDer } from "./x509.ts";
import { keyFromDer, type VerificationKey } from "./public_key.ts";

export type Validity = {
  readonly start: Date | undefined;
  readonly end: Date | undefined;
};

export type Anchor = {
  readonly certificate: X509Certificate;
  readonly validFor: Validity;
};

export type LogKey = {
  /** Hex of the log's id. */
  readonly id: string;
  readonly key: VerificationKey;
  readonly validFor: Validity;
};

export type TrustMaterial = {
  /** Every certificate of every authority: intermediates are anchors too (`spec/fetch-verify.md §9.4` rule 5). */
  readonly anchors: readonly Anchor[];
  readonly rekor: readonly LogKey[];
  readonly ctlogs: readonly LogKey[];
  readonly trustRoot: TrustRoot | undefined;
};

export const NO_TRUST: TrustMaterial = { anchors: [], rekor: [], ctlogs: [], trustRoot: undefined };

/** Whether a validity window holds a moment; a missing end is open. */
export function holds(validFor: Validity, moment: Date): boolean {
  return (validFor.start === undefined || validFor.start <= moment) &&
    (validFor.end === undefined || moment <= validFor.end);
}

type Instance = TrustedRoot["tlogs"][number];

function logKeys(instances: readonly Instance[], what: string): readonly LogKey[] {
  return instances.flatMap((instance) => {
    const { publicKey, logId } = instance;
    if (publicKey?.rawBytes === undefined || logId === undefined) {
      throw new Error(`a ${what} has no key or no id`);
    }
    return [{
      id: Buffer.from(logId.keyId).toString("hex"),
      key: keyFromDer(publicKey.rawBytes),
      validFor: { start: publicKey.validFor?.start, end: publicKey.validFor?.end },
    }];
  });
}

/** Parsed once for each trust root, which all verifications of a process share. */
const known = new WeakMap<TrustRoot, TrustMaterial>();

/**
 * Parses all certificates and keys of a trust root, once.
 *
 * @throws {Error} what in it cannot be used
 */
export function materialOf(trustRoot: TrustRoot | undefined): TrustMaterial {
  if (trustRoot === undefined) return NO_TRUST;
  let material = known.get(trustRoot);
  if (material === undefined) {
    const { certificateAuthorities, tlogs, ctlogs } = trustedRootOf(trustRoot);
    material = {
      anchors: certificateAuthorities.flatMap((authority) =>
        (authority.certChain?.certificates ?? []).map(({ rawBytes }) => ({
          certificate: certificateFromDer(rawBytes),
          validFor: { start: authority.validFor?.start, end: authority.validFor?.end },
        }))
      ),
      rekor: logKeys(tlogs, "transparency log"),
      ctlogs: logKeys(ctlogs, "certificate log"),
      trustRoot,
    };
    known.set(trustRoot, material);
  }
  return material;
}
