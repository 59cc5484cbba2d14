// Values files written for Kubewarden's charts work unchanged: its defaults, written out as people do, give what our own
// defaults give, and its documented examples give objects of the same names.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseDocument } from "../../deps.ts";
import {
  type Any,
  type ChartName,
  CHARTS_FOLDER,
  defaultResources,
  helmTest,
  keyOf,
  one,
  podOf,
  render,
  template,
  withoutCertificates,
} from "./_helm.ts";

const folder = new URL("./original_values/", import.meta.url);
const valuesOf = (file: string): Any => parseDocument(readFileSync(new URL(file, folder), "utf8")).toJS();
const merged = (...files: readonly string[]) => {
  const into = (target: Any, more: Any): Any =>
    Object.entries(more).reduce((sum, [key, value]) => ({
      ...sum,
      [key]:
        typeof value === "object" && value !== null && !Array.isArray(value) && typeof sum[key] === "object"
          ? into(sum[key] ?? {}, value)
          : value,
    }), target);
  return files.map(valuesOf).reduce(into, {});
};

/** Whole `values.yaml` files of the originals, and the chart that takes each. */
const WHOLE: readonly (readonly [ChartName, string, readonly string[]])[] = [
  ["portreeve-crds", "kubewarden-crds", ["whole-crds.yaml"]],
  ["portreeve-controller", "kubewarden-controller", ["whole-controller.yaml"]],
  ["portreeve-defaults", "kubewarden-defaults", ["whole-defaults.yaml"]],
  // As when three releases become one: the last file wins.
  ["portreeve", "admission-controller", ["whole-controller.yaml", "whole-crds.yaml", "whole-defaults.yaml"]],
];

/** What the originals' values choose and we don't by default: whose image, and kubectl for the hooks. */
function comparable(object: Any): Any {
  const copy = withoutCertificates(object);
  if (copy.kind === "Job") {
    for (const key of ["image", "imagePullPolicy", "command", "args", "env"]) {
      delete podOf(copy).spec.containers[0][key];
    }
    delete podOf(copy).spec.containers[0].securityContext;
  } else if (copy.kind === "Deployment" || copy.kind === "CronJob") {
    delete podOf(copy).spec.containers[0].image;
  } else if (copy.kind === "PolicyServer") delete copy.spec.image;
  if (copy.kind === "Pod") {
    const [container] = copy.spec.containers;
    delete container.image;
    container.args[0] = container.args[0].replace(/:[^:]*$/, "");
  }
  // Meant the same, but no cron expression (spec/charts.md §16, row 2).
  if (copy.kind === "CronJob") copy.spec.schedule = copy.spec.schedule.replace("*/60 ", "0 ");
  // The tags are those of the chart's version.
  if (copy.spec?.module !== undefined) copy.spec.module = copy.spec.module.replace(/:[^:]*$/, "");
  return copy;
}

helmTest("the originals' whole values give the objects that our own defaults give", () => {
  for (const [chart, release, files] of WHOLE) {
    for (const set of [[], ["recommendedPolicies.enabled=true"]]) {
      if (set.length > 0 && !files.includes("whole-defaults.yaml")) continue;
      const sorted = (objects: readonly Any[]) =>
        [
          ...objects.filter(({ metadata }) => metadata.name !== "kubewarden-defaults"),
          ...defaultResources(objects),
        ]
          .map(comparable).sort((a, b) => keyOf(a) < keyOf(b) ? -1 : 1);
      const theirs = render(chart, { release, values: merged(...files), set });
      const ours = render(chart, { release, set });
      assert.equal(sorted(theirs).map(keyOf), sorted(ours).map(keyOf), chart);
      for (const [index, object] of sorted(theirs).entries()) {
        assert.equal(object, sorted(ours)[index], `${chart}: ${keyOf(object)}`);
      }
    }
  }
});

helmTest("Helm has no complaint about the shape of the originals' values", () => {
  for (const [chart, release, files] of WHOLE) {
    assert.is(template(chart, { release, values: merged(...files) }).stderr, "", chart);
  }
});

helmTest("images and kubectl of the originals' values are taken as they are written", () => {
  const objects = render("portreeve-controller", {
    release: "kubewarden-controller",
    values: valuesOf("whole-controller.yaml"),
  });
  const image = (kind: string) => podOf(one(objects, kind)).spec.containers[0].image;
  assert.is(image("Deployment"), "ghcr.io/kubewarden/adm-controller/controller:v1.36.0");
  assert.is(image("CronJob"), "ghcr.io/kubewarden/adm-controller/audit-scanner:v1.36.0");
  assert.is(image("Job"), "ghcr.io/rancher/kuberlr-kubectl:v8.0.0");
});

/** A copy of a chart, in a folder of its own that is removed when `use` is done. */
function withCopy(chart: ChartName, change: (folder: string) => void, use: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-chart-"));
  try {
    cpSync(join(CHARTS_FOLDER, chart), folder, { recursive: true });
    change(folder);
    use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

helmTest(
  "an upgrade from the original with --reuse-values works, though our own values have no defaults then",
  () => {
    for (const [chart, release, files] of WHOLE) {
      // A value of later charts, whose absence means something (spec/charts.md §8.4): the notes tell.
      const values = {
        ...merged(...files),
        ...(chart === "portreeve" ? { namespacedPoliciesAllowedResources: [{ resources: ["pods"] }] } : {}),
      };
      withCopy(
        chart,
        // What --reuse-values does: the old chart's values take the place of the new one's.
        (folder) => writeFileSync(join(folder, "values.yaml"), JSON.stringify(values)),
        (folder) => {
          for (const set of [[], ["telemetry.metrics=true"]]) {
            if (set.length > 0 && values.telemetry === undefined) continue;
            const reused = render(chart, { release, folder, set });
            assert.equal(
              reused.map(withoutCertificates),
              render(chart, { release, values, set }).map(withoutCertificates),
              chart,
            );
          }
        },
      );
    }
  },
);

/** What suites of helm-unittest do: they render one template alone, with values that others would have a word on. */
const ALONE: readonly (readonly [string, Any])[] = [
  ["deployment.yaml", { telemetry: { mode: "sidecar", tracing: true } }],
  ["deployment.yaml", { telemetry: { mode: "custom", metrics: true, tracing: true } }],
  ["deployment.yaml", { hostNetwork: true, ports: { webhook: 8443, healthProbe: 8443 } }],
  ["service.yaml", { telemetry: { metrics: true } }],
  ["webhooks.yaml", {}],
  ["controller-rbac-roles.yaml", {}],
  ["audit-scanner.yaml", {}],
  ["post-install-hook.yaml", { telemetry: { metrics: true } }],
  ["pre-delete-hook.yaml", {}],
];

helmTest("each template of the controller renders without the others", () => {
  for (const [chart, place] of [["portreeve-controller", ""], ["portreeve", "controller/"]] as const) {
    for (const [file, values] of ALONE) {
      withCopy(chart, (folder) => {
        const templates = join(folder, "templates");
        for (const entry of readdirSync(templates, { recursive: true, withFileTypes: true })) {
          if (entry.isDirectory() || entry.name.startsWith("_") || entry.name === file) continue;
          rmSync(join(entry.parentPath, entry.name));
        }
      }, (folder) => {
        const { status, stdout, stderr } = template(chart, { folder, values });
        assert.is(status, 0, `${chart} ${place}${file}: ${stderr}`);
        assert.ok(stdout.includes(`templates/${place}${file}`), file);
      });
    }
  }
});

/** Documented examples: what a few objects then have. */
const EXAMPLES: readonly {
  readonly file: string;
  readonly chart: ChartName;
  readonly release: string;
  readonly expect: (objects: readonly Any[]) => readonly (readonly [unknown, unknown])[];
}[] = [
  {
    file: "host-network-controller.yaml",
    chart: "portreeve-controller",
    release: "kubewarden-controller",
    expect: (objects) => {
      const { spec } = podOf(one(objects, "Deployment", "kubewarden-controller"));
      const [term] = spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution;
      return [
        [spec.hostNetwork, true],
        [spec.dnsPolicy, "ClusterFirstWithHostNet"],
        [term.labelSelector.matchExpressions[0].values, ["policy-server", "kubewarden-controller"]],
      ];
    },
  },
  {
    file: "host-network-defaults.yaml",
    chart: "portreeve-defaults",
    release: "kubewarden-defaults",
    expect: (objects) => {
      const { spec } = one(objects, "PolicyServer", "default");
      return [
        [spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution.length, 1],
        [[spec.webhookPort, spec.readinessProbePort, spec.metricsPort], [9443, 9081, 9090]],
      ];
    },
  },
  {
    file: "production.yaml",
    chart: "portreeve-defaults",
    release: "kubewarden-defaults",
    expect: (objects) => {
      const { spec } = one(objects, "PolicyServer", "default");
      return [
        [[spec.replicas, spec.minAvailable], [3, 2]],
        [spec.priorityClassName, "system-cluster-critical"],
        [spec.limits, { cpu: "3", memory: "2Gi" }],
        [spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight, 100],
        [one(objects, "ClusterAdmissionPolicy", "no-privileged-pod").spec.failurePolicy, "Fail"],
      ];
    },
  },
  {
    file: "private-registry.yaml",
    chart: "portreeve",
    release: "admission-controller",
    expect: (objects) => {
      const server = one(defaultResources(objects), "PolicyServer", "default").spec;
      const policy = one(defaultResources(objects), "ClusterAdmissionPolicy", "drop-capabilities").spec;
      const { spec } = podOf(one(objects, "Deployment", "admission-controller"));
      return [
        [spec.imagePullSecrets, [{ name: "pull" }]],
        [spec.containers[0].args.includes("--image-pull-secrets=pull"), true],
        [server.imagePullSecret, "policies"],
        [server.insecureSources, ["registry.example:5000"]],
        [Object.keys(server.sourceAuthorities), ["registry.example:5001"]],
        [policy.module.startsWith("registry.example:5000/kubewarden/policies/"), true],
        [server.image.startsWith("registry.example:5000/"), true],
      ];
    },
  },
  {
    // The form's numbers are texts (spec/charts.md §16, row 42).
    file: "rancher-form.yaml",
    chart: "portreeve",
    release: "rancher-admission-controller",
    expect: (objects) => [
      [
        one(objects, "OpenTelemetryCollector", "kubewarden").spec.config.exporters.prometheus.endpoint,
        ":8080",
      ],
      [one(objects, "Deployment").metadata.name, "rancher-admission-controller"],
    ],
  },
];

helmTest("documented examples give what they say, under the names that they had", () => {
  for (const { file, chart, release, expect } of EXAMPLES) {
    for (const [found, wanted] of expect(render(chart, { release, values: valuesOf(file) }))) {
      assert.equal(found, wanted, file);
    }
  }
  const used = [...EXAMPLES.map(({ file }) => file), ...WHOLE.flatMap(([, , files]) => files)];
  assert.equal([...new Set(used)].sort(), readdirSync(folder).sort());
});

test.run();
