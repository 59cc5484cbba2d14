/** One signature found for an image, after its own checks (`spec/fetch-verify.md §9.4`, `§13`). */

/** Who a certificate of a trusted authority was issued to. */
export type Identity = {
  /** The OIDC issuer that vouched for the subject. */
  readonly issuer: string;
  readonly subject: { readonly kind: "email" | "uri"; readonly value: string };
  /** `owner/repo` in which a GitHub workflow ran. */
  readonly githubRepository: string | undefined;
};

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
  /** The verified log entry of a simple-signing layer; absent for bundles (`§13` rule 2). */
  readonly rekor: {
    /** Seconds since 1970 at which the log took the entry in. */
    readonly integratedTime: number;
    /** Bytes (PEM) of the key or certificate that the log recorded. */
    readonly publicKey: Uint8Array;
  } | undefined;
};
