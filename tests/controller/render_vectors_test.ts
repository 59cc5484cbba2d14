// Every object that the original's controller made for the recorded resources, field by field, against what we render.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { renderConfiguration } from "../../controller/render/config_map.ts";
import { renderDeployment } from "../../controller/render/deployment.ts";
import { renderPodDisruptionBudget } from "../../controller/render/pod_disruption_budget.ts";
import { renderServerSecret } from "../../controller/render/secret.ts";
import { renderService } from "../../controller/render/service.ts";
import { renderWebhookConfiguration } from "../../controller/render/webhook_configuration.ts";
import { policyId } from "../../crd/types.ts";
import { OBJECT_DIFFERENCES } from "./deliberate_differences.ts";
import {
  contradictions,
  policiesOf,
  type Recorded,
  serverOf,
  type Vector,
  vectors,
  withOurIds,
} from "./vectors.ts";

/** Defaults that the API server adds to the recorded objects; of webhook configurations we spell them out. */
function withoutServerDefaults(object: Recorded): Recorded {
  const copy = structuredClone(object);
  delete copy.metadata.annotations?.["deployment.kubernetes.io/revision"];
  const { spec } = copy;
  if (copy.kind === "Service") {
    for (
      const field of ["internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy", "sessionAffinity", "type"]
    ) {
      delete spec[field];
    }
  }
  if (copy.kind === "Deployment") {
    for (const field of ["progressDeadlineSeconds", "revisionHistoryLimit"]) delete spec[field];
    delete spec.strategy.rollingUpdate;
    const pod = spec.template.spec;
    for (
      const field of ["restartPolicy", "schedulerName", "serviceAccount", "terminationGracePeriodSeconds"]
    ) {
      delete pod[field];
    }
    for (const volume of pod.volumes) {
      delete volume.secret?.defaultMode;
      delete volume.configMap?.defaultMode;
    }
    for (const container of pod.containers) {
      for (const field of ["imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy"]) {
        delete container[field];
      }
      const { httpGet } = container.readinessProbe;
      container.readinessProbe = { httpGet };
      for (const variable of container.env) delete variable.valueFrom?.fieldRef?.apiVersion;
    }
  }
  return copy;
}

function rendered(vector: Vector, recorded: Recorded): Recorded {
  const server = serverOf(vector.after)!;
  const owned = { ...server, metadata: { ...server.metadata, uid: "UID" } };
  const policies = policiesOf(vector.after);
  const { settings } = vector;
  switch (recorded.kind) {
    case "ConfigMap":
      return renderConfiguration(owned, policies, settings).configMap;
    case "Deployment":
      return renderDeployment({
        server: owned,
        settings,
        configVersion: recorded.metadata.annotations["kubewarden/config-version"],
      });
    case "Service":
      return renderService(owned, settings);
    case "Secret":
      return renderServerSecret(owned, settings.namespace, { "tls.crt": "BASE64", "tls.key": "BASE64" });
    case "PodDisruptionBudget":
      return renderPodDisruptionBudget(owned, settings.namespace);
    default: {
      const policy = policies.find((candidate) => policyId(candidate) === recorded.metadata.name);
      assert.ok(policy, `no policy has the id ${recorded.metadata.name}`);
      return renderWebhookConfiguration(policy, { namespace: settings.namespace, caBundle: "BASE64" });
    }
  }
}

/** What the recorded object would be with our deliberate differences. */
function withOurDifferences(vector: Vector, object: Recorded): Recorded {
  if (object.kind.endsWith("WebhookConfiguration")) {
    const policy = policiesOf(vector.after).find((candidate) =>
      policyId(candidate) === object.metadata.name
    )!;
    const selector = "namespaceSelector" in policy.spec ? policy.spec.namespaceSelector : undefined;
    if (selector?.matchLabels !== undefined) {
      assert.ok(OBJECT_DIFFERENCES.matchLabelsKept);
      object.webhooks[0].namespaceSelector.matchLabels = selector.matchLabels;
    }
  }
  if (object.kind === "Deployment") {
    for (const list of ["kubewarden.io/managed-annotation-keys", "kubewarden.io/managed-label-keys"]) {
      object.metadata.annotations[list] = object.metadata.annotations[list].split(",").sort().join(",");
    }
    object.metadata.annotations["kubewarden.io/applied-replicas"] = String(object.spec.replicas);
    if (vector.settings.hostNetwork) object.spec.strategy.rollingUpdate = { maxSurge: 0, maxUnavailable: 1 };
  }
  return object;
}

for (const vector of vectors()) {
  const policies = policiesOf(vector.after);
  for (const original of vector.objects.filter(({ kind }) => kind !== "Pod")) {
    const text = withOurIds(JSON.stringify(original), policies);
    test(`${vector.name}: ${original.kind} ${original.metadata.name}`, () => {
      const recorded = withOurDifferences(vector, withoutServerDefaults(JSON.parse(text)));
      const ours = rendered(vector, recorded);
      const again = rendered(vector, recorded);
      assert.is(JSON.stringify(ours), JSON.stringify(again), "same input, same bytes");
      if (recorded.kind === "ConfigMap") {
        // Entries are sorted by id, and our ids sort otherwise: compare them one by one, byte for byte.
        const entries = (file: string) =>
          Object.fromEntries(
            policies.map(policyId).map((
              id,
            ) => [id, file.includes(`"${id}":`) ? entryText(file, id) : undefined]),
          );
        assert.equal(entries(ours.data["policies.yml"]), entries(recorded.data["policies.yml"]));
        assert.is(ours.data["policies.yml"].length, recorded.data["policies.yml"].length);
        ours.data["policies.yml"] = recorded.data["policies.yml"];
      }
      assert.equal(contradictions(recorded, ours), [], "what the original sets is set alike");
      assert.equal(contradictions(ours, recorded), [], "and nothing else is set");
    });
  }
  test(`${vector.name}: no other objects`, () => {
    const webhooks = vector.objects.filter(({ kind }) => kind.endsWith("WebhookConfiguration"));
    const active = vector.after.filter(({ status }) => status?.policyStatus === "active");
    assert.is(webhooks.length, active.length);
    const server = serverOf(vector.after);
    const budget = vector.objects.find(({ kind }) => kind === "PodDisruptionBudget");
    if (server !== undefined) {
      assert.is(renderPodDisruptionBudget(server, "kubewarden") === undefined, budget === undefined);
    }
  });
}

/** The text of one entry of a compact policies.yml. */
function entryText(file: string, id: string): string {
  const start = file.indexOf(`"${id}":`) + id.length + 3;
  let depth = 0;
  let quoted = false;
  for (let at = start; at < file.length; at++) {
    const character = file[at];
    if (quoted) {
      if (character === "\\") at += 1;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "{") depth += 1;
    else if (character === "}" && --depth === 0) return file.slice(start, at + 1);
  }
  throw new Error(`no entry ${id}`);
}

test.run();
