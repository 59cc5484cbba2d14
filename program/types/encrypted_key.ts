/** Private keys that a passphrase protects: no program of ours has one to ask for. */

/** Whether a PEM text holds an encrypted key: PKCS#8, or the elder form, which says so in a header (RFC 1421 §4.6.1.1). */
export const isEncryptedKey = (pem: string): boolean =>
  /-----BEGIN ENCRYPTED PRIVATE KEY-----|(?:^|\r)[ \t]*Proc-Type: *4, *ENCRYPTED/m.test(pem);

/** What is said of one, and what to do. */
export const ENCRYPTED_KEY =
  "is encrypted, which is not supported: decrypt it with `openssl pkey -in FILE -out NEW_FILE`";
