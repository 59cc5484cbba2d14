/** One signature found for an image, after its own checks (`spec/fetch-verify.md §9.4`, `§13`). */

/** Who a certificate of a trusted authority was issued to. */
export type Identity = {
  /** The OIDC issuer that vouched for the subject. */
  readonly issuer: string;
  readonly subject: { readonly kind: "email" | "uri"; readonly value: string };
  /** `owner/repo` in which a GitHub workflow ran. */
  readonly githubRepository: string | undefined;
};

/** A signature that can be used. */
export type SignedLayer = {
  /** Where it was found, for log lines. */
  readonly source: string;
  /** The bytes that were signed: the layer itself, or a bundle's pre-authentication encoding. */
  readonly signedBytes: Uint8Array;
  /** The signature in base64, as found. */
  readonly signature: string;
  /** What the signer added; part of what was signed. Numbers are kept as their JSON text. */
  readonly annotations: Readonly<Record<string, unknown>>;
  /** Only where everything that makes a certificate's name trustworthy was checked. */
  readonly identity: Identity | undefined;
  /** SubjectPublicKeyInfo (DER) of the key that a verified log entry names: another key cannot have made this signature. */
  readonly loggedKey: Uint8Array | undefined;
  /**
   * Seconds since 1970 at which the log took a simple-signing layer in, where that was verified. Bundles have none: they are
   * no answer to a request for a Rekor bundle (`spec/fetch-verify.md §13` rule 2).
   */
  readonly integratedTime: number | undefined;
};
