/** A control plane with our CRDs, our webhooks and our controller, for one test file. */
import { customResource } from "../../crd/types.ts";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { FIELD_MANAGER } from "../../controller/render/names.ts";
import { type KubeClient, kubeClient } from "../../kubernetes/apply/kube_client.ts";
import {
  type Controller,
  type ControllerOptions,
  startController,
} from "../../controller/serve/controller.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import { MUTATING, VALIDATING } from "../../controller/types/resources.ts";
import { type Resource, resourcePath } from "../../kubernetes/types/resource.ts";
import { type ControllerSettings, defaultSettings } from "../../controller/types/settings.ts";
import { customResourceDefinitions, type Kind, KINDS } from "../../crd/mod.ts";
import { type ControlPlane, startControlPlane, until } from "../cluster/control_plane.ts";

export { until };
// deno-lint-ignore no-explicit-any
export type Any = any;
export const NAMESPACE = "kubewarden";
const RECENT_LINES = 60;
const VERBOSE = process.env["CONTROLLER_LOG"] !== undefined;

export type Harness = {
  readonly plane: ControlPlane;
  readonly client: KubeClient;
  /** Creates an object of any version; resolves to what is stored or to the API server's refusal. */
  create(object: Any): Promise<Any>;
  /** A plain request of an object of ours, in a version. */
  read(object: Any): Promise<Any>;
  startController(
    settings?: Partial<ControllerSettings>,
    more?: Partial<ControllerOptions>,
  ): Promise<Controller>;
  /** What the controllers logged last, the newest at the end: for a test that fails once in a while. */
  recent(): string;
  stop(): Promise<void>;
};

/** Path of an object of ours in its own version, which may be v1alpha2. */
export function objectPath({ apiVersion, kind, metadata }: Any, collection = false): string {
  const resource: Resource = { ...customResource(kind as Kind), apiVersion };
  return resourcePath(resource, metadata.namespace, collection ? undefined : metadata.name);
}

/** Registers the webhooks as the charts do, but by URL. */
export async function registerWebhooks(client: KubeClient, url: string, authority: string): Promise<void> {
  const caBundle = btoa(authority);
  const webhooks = (verb: "mutate" | "validate") =>
    KINDS.map(({ kind, plural }) => ({
      name: `${verb[0]}${kind.toLowerCase()}.kb.io`,
      clientConfig: { url: `${url}/${verb}-policies-kubewarden-io-v1-${kind.toLowerCase()}`, caBundle },
      rules: [{
        apiGroups: ["policies.kubewarden.io"],
        apiVersions: ["v1"],
        operations: ["CREATE", "UPDATE"],
        resources: [plural],
      }],
      failurePolicy: "Fail",
      sideEffects: "None",
      admissionReviewVersions: kind === "PolicyServer" && verb === "validate" ? ["v1"] : ["v1", "v1beta1"],
    }));
  const configuration = (kind: string, name: string, verb: "mutate" | "validate") =>
    ({
      apiVersion: "admissionregistration.k8s.io/v1",
      kind,
      // Without the part-of label the rotation leaves them alone: the test's own authority signs their server.
      metadata: { name },
      webhooks: webhooks(verb),
    }) as unknown as KubeObject;
  await client.create(
    MUTATING,
    configuration(
      "MutatingWebhookConfiguration",
      "kubewarden-controller-mutating-webhook-configuration",
      "mutate",
    ),
  );
  await client.create(
    VALIDATING,
    configuration(
      "ValidatingWebhookConfiguration",
      "kubewarden-controller-validating-webhook-configuration",
      "validate",
    ),
  );
}

/** Starts a control plane with the CRDs and the deployments namespace. */
export async function startHarness(): Promise<Harness> {
  const plane = await startControlPlane();
  const client = kubeClient(plane.admin, FIELD_MANAGER);
  const json = { "content-type": "application/json" };
  for (const crd of customResourceDefinitions()) {
    const answer = await plane.admin.request({
      method: "POST",
      path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
      headers: json,
      body: JSON.stringify(crd),
    });
    if (answer.status !== 201) throw new Error(await answer.text());
    await answer.text();
  }
  const namespace = await plane.admin.request({
    method: "POST",
    path: "/api/v1/namespaces",
    headers: json,
    body: JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } }),
  });
  await namespace.text();
  for (const { kind } of KINDS) {
    await until(
      `${kind} is served`,
      () => client.list(customResource(kind), undefined, {}).then(() => true, () => false),
    );
  }
  const controllers: Controller[] = [];
  const recent: string[] = [];
  return {
    plane,
    client,
    async create(object) {
      const answer = await plane.admin.request({
        method: "POST",
        path: objectPath(object, true),
        headers: json,
        body: typeof object === "string" ? object : JSON.stringify(object),
      });
      return JSON.parse(await answer.text());
    },
    async read(object) {
      const answer = await plane.admin.request({ method: "GET", path: objectPath(object) });
      return JSON.parse(await answer.text());
    },
    async startController(settings = {}, more = {}) {
      const controller = await startController({
        settings: { ...defaultSettings(NAMESPACE), ...settings },
        transport: plane.admin,
        log: (level, message, fields) => {
          const line = `${new Date().toISOString()} ${level} ${message} ${JSON.stringify(fields ?? {})}`;
          recent.push(line);
          if (recent.length > RECENT_LINES) recent.shift();
          if (VERBOSE) console.error(line);
        },
        ...more,
      });
      controllers.push(controller);
      return controller;
    },
    recent: () => recent.join("\n"),
    async stop() {
      await Promise.all(controllers.map((controller) => controller.stop()));
      await plane.stop();
    },
  };
}

/** A folder with a serving certificate for 127.0.0.1, as a mounted Secret would be. */
export async function certificateFolder(plane: ControlPlane, name = "serving-certs"): Promise<string> {
  const folder = join(plane.folder, name);
  mkdirSync(folder, { recursive: true });
  const pair = await plane.authority.issue({ commonName: "127.0.0.1", dns: ["127.0.0.1"] });
  writeFileSync(join(folder, "tls.crt"), pair.cert);
  writeFileSync(join(folder, "tls.key"), pair.key);
  return folder;
}

/** Starts the controller with its webhooks, and registers them. */
export async function startWithWebhooks(
  harness: Harness,
  settings: Partial<ControllerSettings> = {},
  more: Partial<ControllerOptions> = {},
): Promise<Controller> {
  const certificates = await certificateFolder(harness.plane);
  const controller = await harness.startController(settings, {
    webhooks: { port: 0, hostname: "127.0.0.1", certificates, mutualTls: false },
    ...more,
  });
  await until("the controller leads", () => controller.leading());
  const url = `https://127.0.0.1:${controller.ports.webhooks}`;
  await registerWebhooks(harness.client, url, harness.plane.authority.cert);
  return controller;
}
