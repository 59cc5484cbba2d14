/** The Secret that holds a policy server's serving certificate (spec/controller.md §5.1). */
import type { PolicyServer } from "../../crd/types.ts";
import type { Secret } from "../types/objects.ts";
import { CERT_FORMAT, CERT_FORMAT_ANNOTATION, ownedMetadata, PART_OF } from "./names.ts";

/** Labels by which the rotation finds the Secrets of policy servers. */
export const SERVER_SECRET_LABELS = { ...PART_OF, "app.kubernetes.io/component": "policy-server" } as const;

/** A certificate and its key, in base64 of PEM, as a Secret holds them. */
export type EncodedKeyPair = { readonly "tls.crt": string; readonly "tls.key": string };

/** The Secret `policy-server-<name>`. */
export function renderServerSecret(server: PolicyServer, namespace: string, pair: EncodedKeyPair): Secret {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      ...ownedMetadata(server, namespace),
      labels: SERVER_SECRET_LABELS,
      annotations: { [CERT_FORMAT_ANNOTATION]: CERT_FORMAT },
    },
    type: "Opaque",
    data: pair,
  };
}

/** The Secret's pair, or `undefined` when it has to be issued anew: a key missing, or of an unknown format. */
export function usablePair(secret: Secret | undefined): EncodedKeyPair | undefined {
  const crt = secret?.data?.["tls.crt"] ?? "";
  const key = secret?.data?.["tls.key"] ?? "";
  if (crt === "" || key === "") return undefined;
  if (secret?.metadata.annotations?.[CERT_FORMAT_ANNOTATION] !== CERT_FORMAT) return undefined;
  return { "tls.crt": crt, "tls.key": key };
}
