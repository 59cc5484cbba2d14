/**
 * Keeps every certificate good (spec/controller.md §9.4). Each run compares what is with what should be, so it may be cut off
 * after any step: the authority first, then every bundle that clients trust, and only then the leaves it signs. A client
 * thus never meets a certificate whose authority it does not know yet, nor loses the old one while it is still in use.
 */
import {
  AUDIT_SCANNER_SECRET,
  CA_SECRET,
  hasLabels,
  PART_OF,
  serviceHost,
  WEBHOOK_SERVER_SECRET,
} from "../render/names.ts";
import { SERVER_SECRET_LABELS } from "../render/secret.ts";
import type { Secret, WebhookConfiguration, WebhookKind } from "../types/objects.ts";
import { SECRETS, WEBHOOK_KINDS, WEBHOOK_RESOURCES } from "../types/resources.ts";
import { caBundle, currentAuthority, decode, encode } from "./authority.ts";
import {
  authorityProblem,
  createAuthority,
  issueLeaf,
  type LeafNames,
  leafProblem,
  RENEW_BEFORE_MS,
} from "./certificates.ts";
import type { World } from "./world.ts";

type Data = { readonly [key: string]: string | null };

async function writeSecret(
  world: World,
  name: string,
  secret: Secret | undefined,
  data: Data,
): Promise<void> {
  const { client, stores, settings: { namespace } } = world;
  if (secret === undefined) {
    const created = await client.create<Secret>(SECRETS, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name, namespace, labels: PART_OF },
      type: "Opaque",
      data,
    } as Secret);
    stores.secrets.put(created);
    return;
  }
  const { resourceVersion } = secret.metadata;
  stores.secrets.put(
    await client.patch<Secret>(SECRETS, namespace, name, "merge", { metadata: { resourceVersion }, data }),
  );
}

async function rotateAuthority(world: World): Promise<void> {
  const { stores, settings } = world;
  const now = world.now();
  const secret = stores.secrets.get(CA_SECRET, settings.namespace);
  const former = decode(secret?.data?.["ca.crt"]);
  const problem = secret === undefined
    ? `Secret ${CA_SECRET} does not exist`
    : authorityProblem(former, decode(secret.data?.["ca.key"]), now + RENEW_BEFORE_MS);
  if (problem !== undefined) {
    const authority = await createAuthority(now);
    const trustFormer = authorityProblem(former, undefined, now) === undefined;
    world.log("info", "creating a new certificate authority", { why: problem });
    await writeSecret(world, CA_SECRET, secret, {
      "ca.crt": encode(authority.cert),
      "ca.key": encode(authority.key),
      ...(trustFormer ? { "old-ca.crt": encode(former) } : {}),
    });
    return;
  }
  const old = secret?.data?.["old-ca.crt"];
  if (old !== undefined && authorityProblem(decode(old), undefined, now) !== undefined) {
    world.log("info", "dropping the old certificate authority: it is no longer valid");
    await writeSecret(world, CA_SECRET, secret, { "old-ca.crt": null });
  }
}

async function updateBundles(world: World, kind: WebhookKind): Promise<void> {
  const wanted = caBundle(world);
  const store = world.stores.webhooks[kind];
  for (const configuration of [...store.all()].filter((object) => hasLabels(object, PART_OF))) {
    const patch = (configuration.webhooks ?? []).flatMap(({ name, clientConfig }, index) =>
      clientConfig.caBundle === wanted ? [] : [
        { op: "test", path: `/webhooks/${index}/name`, value: name },
        { op: "add", path: `/webhooks/${index}/clientConfig/caBundle`, value: wanted },
      ]
    );
    if (patch.length === 0) continue;
    world.log("info", "updating the CA bundle", { kind, name: configuration.metadata.name });
    store.put(
      await world.client.patch<WebhookConfiguration>(
        WEBHOOK_RESOURCES[kind],
        undefined,
        configuration.metadata.name,
        "json",
        patch,
      ),
    );
  }
}

async function renewLeaf(
  world: World,
  name: string,
  secret: Secret | undefined,
  names: LeafNames,
): Promise<void> {
  const authority = currentAuthority(world);
  const now = world.now();
  const pair = { cert: decode(secret?.data?.["tls.crt"]), key: decode(secret?.data?.["tls.key"]) };
  const problem = leafProblem(pair, authority.cert, names.host, now + RENEW_BEFORE_MS);
  if (problem === undefined) return;
  world.log("info", "issuing a certificate", { secret: name, why: problem });
  const leaf = await issueLeaf(authority, names, now);
  await writeSecret(world, name, secret, { "tls.crt": encode(leaf.cert), "tls.key": encode(leaf.key) });
}

/** One run over the authority, the bundles and the leaves. Safe to repeat and to cut off. */
export async function rotateCertificates(world: World): Promise<void> {
  const { stores, settings: { namespace, webhookServiceName } } = world;
  await rotateAuthority(world);
  for (const kind of WEBHOOK_KINDS) await updateBundles(world, kind);
  const host = serviceHost(webhookServiceName, namespace);
  await renewLeaf(world, WEBHOOK_SERVER_SECRET, stores.secrets.get(WEBHOOK_SERVER_SECRET, namespace), {
    commonName: host,
    host,
  });
  const scanner = stores.secrets.get(AUDIT_SCANNER_SECRET, namespace);
  if (scanner !== undefined) {
    await renewLeaf(world, AUDIT_SCANNER_SECRET, scanner, { commonName: "audit-scanner-client" });
  }
  for (const secret of [...stores.secrets.all()]) {
    const { name, deletionTimestamp } = secret.metadata;
    if (!hasLabels(secret, SERVER_SECRET_LABELS) || deletionTimestamp !== undefined) continue;
    const host = serviceHost(name, namespace);
    await renewLeaf(world, name, secret, { commonName: host, host });
  }
}
