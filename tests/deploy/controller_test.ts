// The controller's Deployment, its Services, webhooks, hooks and the audit scanner's CronJob (spec/charts.md §6).
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseFlags as parseAudit } from "../../audit/render/flags.ts";
import { parseFlags } from "../../controller/render/flags.ts";
import { type Any, CONTROLLER_CHARTS, helmTest, one, podOf, render } from "./_helm.ts";

const BASE_ARGS = (service: string) => [
  "--leader-elect",
  "--deployments-namespace=kubewarden",
  `--webhook-service-name=${service}`,
  "--webhook-server-port=9443",
  "--health-probe-bind-address=:8081",
  "--metrics-bind-address=0",
  "--always-accept-admission-reviews-on-deployments-namespace",
  "--zap-log-level=info",
];
const UNIFIED_ARGS = [
  "--defaults-configmap-name=kubewarden-defaults",
  "--controller-configmap-name=kubewarden-controller-config",
];

const controller = (objects: readonly Any[]) => podOf(one(objects, "Deployment")).spec.containers[0];

helmTest("the controller's arguments stand in this order", () => {
  for (const { chart, release } of CONTROLLER_CHARTS) {
    const service = `${release}-webhook-service`;
    const unified = chart === "portreeve" ? UNIFIED_ARGS : [];
    assert.equal(controller(render(chart, { release })).args, [...BASE_ARGS(service), ...unified]);
    const all = controller(render(chart, {
      release,
      values: {
        ports: { webhook: 63000, healthProbe: 63001, metrics: 63002 },
        logLevel: "debug",
        mTLS: { enable: true, configMapName: "mtlscm" },
        imagePullSecrets: ["a", { name: "b" }],
        hostNetwork: true,
        policyServer: { webhookPort: 64005, readinessProbePort: 63003 },
        telemetry: {
          mode: "custom",
          metrics: true,
          tracing: true,
          custom: {
            endpoint: "https://collector:4317",
            otelCollectorCertificateSecret: "server",
            otelCollectorClientCertificateSecret: "client",
          },
        },
      },
    }));
    assert.equal(all.args, [
      "--leader-elect",
      "--deployments-namespace=kubewarden",
      `--webhook-service-name=${service}`,
      "--webhook-server-port=63000",
      "--health-probe-bind-address=:63001",
      "--metrics-bind-address=:63002",
      "--always-accept-admission-reviews-on-deployments-namespace",
      "--zap-log-level=debug",
      "--client-ca-configmap-name=mtlscm",
      "--image-pull-secrets=a,b",
      "--host-network",
      ...unified,
      "--enable-metrics",
      "--enable-tracing",
      "--opentelemetry-certificate-secret=server",
      "--opentelemetry-client-certificate-secret=client",
    ]);
    assert.equal(all.command, ["/controller"]);
  }
});

helmTest("the controller and the audit scanner know every flag that the charts give them", () => {
  const values = {
    mTLS: { enable: true, configMapName: "mtlscm" },
    imagePullSecrets: ["a"],
    hostNetwork: true,
    policyServer: { webhookPort: 64005, readinessProbePort: 63003 },
    telemetry: { mode: "custom", metrics: true, tracing: true, custom: { endpoint: "https://c:4317" } },
  };
  const sidecar = { telemetry: { mode: "sidecar", metrics: true, tracing: true } };
  for (const { chart, release } of CONTROLLER_CHARTS) {
    const checked = new Set<string>();
    for (const given of [{}, values, sidecar]) {
      for (const object of render(chart, { release, values: given })) {
        const workload = ["Deployment", "Job", "CronJob", "Pod"].includes(object.kind);
        if (!workload) continue;
        const pod = object.kind === "Pod" ? object : podOf(object);
        for (const { args = [], command } of pod.spec.containers) {
          const [program, ...more] = command ?? [];
          const parse = program === "/controller"
            ? parseFlags
            : program === "/audit-scanner"
            ? parseAudit
            : undefined;
          if (parse === undefined) continue;
          const parsed = parse([...more, ...args]);
          assert.ok(
            ["values", "settings"].includes(parsed.kind),
            `${chart} ${object.kind}: ${JSON.stringify(parsed)}`,
          );
          checked.add(object.kind);
        }
      }
    }
    assert.equal([...checked].sort(), ["CronJob", "Deployment", "Job", "Pod"], chart);
  }
});

/** Values of `telemetry` and the environment that follows, as [name, value]. */
const TELEMETRY: readonly (readonly [Any, readonly (readonly [string, string])[], readonly string[]])[] = [
  [{}, [], []],
  [
    { mode: "sidecar", metrics: true },
    [
      ["KUBEWARDEN_POLICY_SERVER_SERVICES_METRICS_PORT", "8080"],
      ["OTEL_EXPORTER_OTLP_ENDPOINT", "https://localhost:4317"],
      ["OTEL_EXPORTER_OTLP_INSECURE", "true"],
    ],
    ["--enable-otel-sidecar", "--enable-metrics"],
  ],
  [
    { mode: "sidecar", tracing: true, sidecar: { tracing: { jaeger: { endpoint: "j:4317" } } } },
    [],
    ["--enable-otel-sidecar", "--enable-tracing"],
  ],
  // Secrets of the other mode are no business of this one, and must not keep the pod from starting.
  [
    {
      mode: "sidecar",
      metrics: true,
      custom: { otelCollectorCertificateSecret: "s", otelCollectorClientCertificateSecret: "c" },
      sidecar: { metrics: { port: "9090" } },
    },
    [
      ["KUBEWARDEN_POLICY_SERVER_SERVICES_METRICS_PORT", "9090"],
      ["OTEL_EXPORTER_OTLP_ENDPOINT", "https://localhost:4317"],
      ["OTEL_EXPORTER_OTLP_INSECURE", "true"],
    ],
    ["--enable-otel-sidecar", "--enable-metrics"],
  ],
  [
    {
      mode: "custom",
      tracing: true,
      custom: {
        endpoint: "https://c:4317",
        otelCollectorCertificateSecret: "s",
        otelCollectorClientCertificateSecret: "c",
      },
    },
    [
      ["OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4317"],
      ["OTEL_EXPORTER_OTLP_INSECURE", "false"],
      ["OTEL_EXPORTER_OTLP_CERTIFICATE", "/kubewarden/otel-collector-certs/ca.crt"],
      ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/kubewarden/otel-collector-client-certs/tls.crt"],
      ["OTEL_EXPORTER_OTLP_CLIENT_KEY", "/kubewarden/otel-collector-client-certs/tls.key"],
    ],
    [
      "--enable-tracing",
      "--opentelemetry-certificate-secret=s",
      "--opentelemetry-client-certificate-secret=c",
    ],
  ],
  [
    {
      mode: "custom",
      metrics: true,
      custom: { endpoint: "http://c:4317", insecure: true, otelCollectorCertificateSecret: "s" },
    },
    [["OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"], ["OTEL_EXPORTER_OTLP_INSECURE", "true"]],
    ["--enable-metrics"],
  ],
  // Off: a Secret that is named but missing must not block the pod.
  [{ mode: "custom", custom: { endpoint: "https://c:1", otelCollectorCertificateSecret: "s" } }, [], []],
];

helmTest("telemetry gives these variables, flags, annotations, mounts and collector", () => {
  for (const { chart } of CONTROLLER_CHARTS) {
    for (const [telemetry, env, flags] of TELEMETRY) {
      const what = `${chart} ${JSON.stringify(telemetry)}`;
      const objects = render(chart, { values: { telemetry, additionalEnvironmentVariables: [] } });
      const container = controller(objects);
      const found = container.env?.map(({ name, value }: Any) => [name, value]);
      assert.equal(found, env.length === 0 ? undefined : env, what);
      const telemetryArgs = container.args.filter((arg: string) =>
        /^--(enable-(otel|metrics|tracing)|opentelemetry)/.test(arg)
      );
      assert.equal(telemetryArgs, flags, what);
      const sidecar = flags.includes("--enable-otel-sidecar");
      const { annotations } = podOf(one(objects, "Deployment")).metadata;
      assert.equal(annotations, sidecar ? { "sidecar.opentelemetry.io/inject": "true" } : undefined, what);
      assert.is(
        objects.filter(({ kind }) => kind === "OpenTelemetryCollector").length,
        sidecar ? 1 : 0,
        what,
      );
      const volumes = podOf(one(objects, "Deployment")).spec.volumes.map(({ name }: Any) => name);
      assert.is(
        volumes.includes("otel-collector-certificate"),
        flags.some((flag) => flag.startsWith("--opentelemetry-certificate")),
        what,
      );
      assert.equal(volumes, container.volumeMounts.map(({ name }: Any) => name), what);
      const metrics = objects.filter(({ kind, metadata }) =>
        kind === "Service" && metadata.name.endsWith("-metrics-service")
      );
      assert.is(metrics.length, telemetry.metrics === true ? 1 : 0, what);
      const restarts = objects.filter(({ metadata }) => metadata.name === "release-delete-controller-job");
      assert.is(restarts.length, sidecar ? 1 : 0, what);
    }
  }
});

helmTest("additional variables come last, as they are written", () => {
  const secret = { name: "OTEL_EXPORTER_OTLP_HEADERS", valueFrom: { secretKeyRef: { name: "s", key: "k" } } };
  for (const { chart } of CONTROLLER_CHARTS) {
    const variables = [{ name: "A", value: "1" }, secret];
    assert.equal(
      controller(render(chart, { values: { additionalEnvironmentVariables: variables } })).env,
      variables,
    );
    const { env } = controller(render(chart, {
      values: { additionalEnvironmentVariables: variables, telemetry: { metrics: true } },
    }));
    assert.equal(env.slice(3), variables);
  }
});

helmTest("the pod is what the chapter says", () => {
  for (const { chart } of CONTROLLER_CHARTS) {
    const objects = render(chart, {
      values: {
        podAnnotations: { upgraded: true },
        nodeSelector: { a: "b" },
        global: { tolerations: [{ operator: "Exists" }], priorityClassName: "high" },
        mTLS: { enable: true, configMapName: "cm" },
        replicas: 3,
      },
    });
    const deployment = one(objects, "Deployment");
    const { spec, metadata } = podOf(deployment);
    assert.is(deployment.spec.replicas, 3);
    assert.is(deployment.spec.strategy, undefined);
    assert.equal(metadata.annotations, { upgraded: "true" });
    assert.equal([spec.hostNetwork, spec.dnsPolicy, spec.affinity], [undefined, undefined, undefined]);
    assert.equal([spec.nodeSelector, spec.tolerations, spec.priorityClassName], [
      { a: "b" },
      [{ operator: "Exists" }],
      "high",
    ]);
    assert.is(spec.terminationGracePeriodSeconds, 10);
    assert.equal(spec.securityContext, { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
    const { ports, livenessProbe, readinessProbe, resources, securityContext, volumeMounts } =
      spec.containers[0];
    assert.equal(ports, [{ name: "webhook-server", containerPort: 9443, protocol: "TCP" }]);
    assert.equal(livenessProbe, {
      httpGet: { path: "/healthz", port: 8081 },
      initialDelaySeconds: 15,
      periodSeconds: 20,
    });
    assert.equal(readinessProbe, {
      httpGet: { path: "/readyz", port: 8081 },
      initialDelaySeconds: 5,
      periodSeconds: 10,
    });
    assert.equal(resources, {
      limits: { cpu: "500m", memory: "200Mi" },
      requests: { cpu: "250m", memory: "70Mi" },
    });
    assert.equal(securityContext, { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } });
    assert.equal(volumeMounts.map(({ mountPath, readOnly }: Any) => [mountPath, readOnly]), [
      ["/tmp/k8s-webhook-server/serving-certs", true],
      ["/tmp/k8s-webhook-server/serving-certs/client-ca", true],
    ]);
  }
});

/** Image blocks and what comes of them; the registry is `global.cattle.systemDefaultRegistry`. */
const IMAGES: readonly (readonly [registry: string, image: Any, wanted: string])[] = [
  ["ghcr.io", {}, "ghcr.io/portreeve/controller:v0.1.0"],
  ["ghcr.io", { runtime: "bun" }, "ghcr.io/portreeve/controller:v0.1.0-bun"],
  ["", { repository: "a/b", tag: "1" }, "a/b:1"],
  ["localhost:5000/", { tag: "v2", runtime: "bun" }, "localhost:5000/portreeve/controller:v2-bun"],
  ["r", { tag: "v1@sha256:00" }, "r/portreeve/controller:v1@sha256:00"],
];

helmTest("images are made of registry, repository, tag and runtime", () => {
  for (const { chart } of CONTROLLER_CHARTS) {
    for (const [systemDefaultRegistry, image, wanted] of IMAGES) {
      const objects = render(chart, { values: { global: { cattle: { systemDefaultRegistry } }, image } });
      assert.is(controller(objects).image, wanted);
      assert.is(podOf(one(objects, "Job")).spec.containers[0].image, wanted);
    }
  }
});

helmTest("Services lead to the ports of the controller, and to the sidecar's where there is one", () => {
  for (const { chart, release } of CONTROLLER_CHARTS) {
    const ports = (values: Any, name: string) =>
      one(render(chart, { release, values }), "Service", `${release}-${name}-service`).spec.ports;
    assert.equal(ports({}, "webhook"), [{ port: 443, targetPort: 9443 }]);
    assert.equal(ports({ ports: { webhook: 10443 } }, "webhook"), [{ port: 443, targetPort: 10443 }]);
    const custom = { mode: "custom", metrics: true, custom: { endpoint: "https://c:1" } };
    assert.equal(ports({ telemetry: custom, ports: { metrics: 10088 } }, "metrics"), [
      { name: "metrics", port: 8080, targetPort: 10088 },
    ]);
    assert.equal(ports({ telemetry: { metrics: true } }, "metrics"), [
      { name: "metrics", port: 8080, targetPort: 8088 },
      { name: "sidecar-metrics", port: 8889, targetPort: 8080 },
    ]);
  }
});

const MUTATING = ["clusteradmissionpolicy", "clusteradmissionpolicygroup", "policyserver", "admissionpolicy"]
  .concat("admissionpolicygroup");
const VALIDATING = ["clusteradmissionpolicy", "clusteradmissionpolicygroup", "admissionpolicy"]
  .concat("admissionpolicygroup", "policyserver");

helmTest("the controller's own webhooks have these names, paths and rules, in this order", () => {
  for (const { chart } of CONTROLLER_CHARTS) {
    const objects = render(chart);
    const check = (kind: string, prefix: string, path: string, kinds: readonly string[]) => {
      const { webhooks } = one(objects, kind);
      assert.equal(webhooks.map(({ name }: Any) => name), kinds.map((name) => `${prefix}${name}.kb.io`));
      for (const [index, webhook] of webhooks.entries()) {
        const name = kinds[index]!;
        const { clientConfig, rules, admissionReviewVersions, ...rest } = webhook;
        assert.is(clientConfig.service.path, `/${path}-policies-kubewarden-io-v1-${name}`);
        assert.equal(rules, [{
          apiGroups: ["policies.kubewarden.io"],
          apiVersions: ["v1"],
          operations: ["CREATE", "UPDATE"],
          resources: [name.endsWith("y") ? name.replace(/y$/, "ies") : `${name}s`],
        }]);
        const old = prefix === "v" && name === "policyserver" ? ["v1"] : ["v1", "v1beta1"];
        assert.equal(admissionReviewVersions, old, name);
        assert.equal(rest, { name: webhook.name, failurePolicy: "Fail", sideEffects: "None" });
      }
    };
    const mutating = chart === "portreeve" ? MUTATING.filter((name) => name !== "policyserver") : MUTATING;
    check("MutatingWebhookConfiguration", "m", "mutate", mutating);
    check("ValidatingWebhookConfiguration", "v", "validate", VALIDATING);
  }
});

helmTest("without certificates of its own, two renderings are the same", () => {
  for (const { chart, release } of CONTROLLER_CHARTS) {
    const once = () => render(chart, { release, set: ["certificates.create=false"] });
    const objects = once();
    assert.equal(objects, once());
    assert.equal(objects.filter(({ kind }) => kind === "Secret"), []);
    for (const { webhooks } of objects.filter(({ kind }) => kind.endsWith("WebhookConfiguration"))) {
      for (const { clientConfig } of webhooks) assert.equal(Object.keys(clientConfig), ["service"]);
    }
    assert.not.equal(render(chart, { release }), render(chart, { release }));
  }
});

helmTest("hooks run the controller's image, or kubectl where an image of it is named", () => {
  for (const { chart, release } of CONTROLLER_CHARTS) {
    const unified = chart === "portreeve";
    const job = (name: string, values: Any) => one(render(chart, { release, values }), "Job", name);
    const cleanup = job(release, { logLevel: "debug", imagePullSecrets: ["pull"] });
    assert.equal(cleanup.metadata.annotations, {
      "helm.sh/hook": "pre-delete",
      "helm.sh/hook-weight": "1",
      "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
    });
    const { spec } = podOf(cleanup);
    assert.equal([spec.restartPolicy, spec.serviceAccountName, spec.imagePullSecrets], [
      "OnFailure",
      release,
      [{ name: "pull" }],
    ]);
    const [container] = spec.containers;
    assert.is(container.name, unified ? "kubewarden-cleanup" : "pre-delete-job");
    assert.equal([container.command, container.args, container.env], [
      ["/controller"],
      [
        "--cleanup",
        ...(unified ? [] : ["--cleanup-policy-servers"]),
        "--deployments-namespace=kubewarden",
        `--controller-deployment-name=${release}`,
        "--zap-log-level=debug",
      ],
      undefined,
    ]);
    assert.equal(container.securityContext, {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
    });
    assert.equal(container.resources.limits, { cpu: "100m", memory: "128Mi" });

    const telemetry = { metrics: true };
    const restart = podOf(job(`${release}-delete-controller-job`, { telemetry })).spec.containers[0];
    assert.equal(restart.args.slice(0, 3), [
      "--restart",
      "--deployments-namespace=kubewarden",
      `--controller-deployment-name=${release}`,
    ]);
    const preDeleteJob = { image: { repository: "rancher/kuberlr-kubectl", tag: "v8.0.0" } };
    const kubectl =
      podOf(job(`${release}-delete-controller-job`, { telemetry, preDeleteJob })).spec.containers[0];
    assert.equal([kubectl.image, kubectl.command, kubectl.args, kubectl.env], [
      "ghcr.io/rancher/kuberlr-kubectl:v8.0.0",
      ["kubectl"],
      ["--namespace", "kubewarden", "rollout", "restart", "deployment", release],
      [{ name: "KUBERLR_ALLOWDOWNLOAD", value: "1" }],
    ]);
    assert.equal([kubectl.securityContext.runAsUser, kubectl.securityContext.runAsGroup], [1000, 1000]);
    const old = podOf(job(release, { preDeleteJob })).spec.containers[0];
    if (unified) assert.equal(old.command, ["/controller"]);
    else assert.equal(old.args, ["delete", "--all", "policyservers.policies.kubewarden.io", "--wait"]);
  }
});

helmTest("hooks and scanner run where the controller may, and are kept off no node by anti-affinity", () => {
  const nodeAffinity = {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [{ key: "a", operator: "Exists" }] }],
    },
  };
  const podAntiAffinity = {
    requiredDuringSchedulingIgnoredDuringExecution: [{
      topologyKey: "kubernetes.io/hostname",
      labelSelector: { matchLabels: { "app.kubernetes.io/part-of": "kubewarden" } },
    }],
  };
  const tolerations = [{ operator: "Exists" }];
  for (const { chart, release } of CONTROLLER_CHARTS) {
    const objects = render(chart, {
      release,
      values: {
        nodeSelector: { disk: "ssd" },
        telemetry: { metrics: true },
        global: { affinity: { nodeAffinity, podAntiAffinity }, tolerations, priorityClassName: "high" },
      },
    });
    assert.equal(podOf(one(objects, "Deployment")).spec.affinity, { nodeAffinity, podAntiAffinity });
    const jobs = objects.filter(({ kind }) => kind === "Job" || kind === "CronJob");
    assert.is(jobs.length, 3);
    for (const object of jobs) {
      const { spec } = podOf(object);
      assert.equal([spec.nodeSelector, spec.affinity, spec.tolerations, spec.priorityClassName], [
        { disk: "ssd" },
        { nodeAffinity },
        tolerations,
        "high",
      ], object.metadata.name);
    }
  }
});

helmTest("the scanner's command stands in this order", () => {
  for (const { chart } of CONTROLLER_CHARTS) {
    const global = { skipNamespaces: ["kube-system"] };
    const command = (auditScanner: Any) =>
      podOf(one(render(chart, { values: { global, auditScanner } }), "CronJob")).spec.containers[0].command;
    const common = ["/audit-scanner", "--kubewarden-namespace", "kubewarden", "--loglevel"];
    const pki = [
      "--extra-ca",
      "/pki/ca.crt",
      "--client-cert",
      "/client-cert/tls.crt",
      "--client-key",
      "/client-cert/tls.key",
    ];
    const parallel = ["--parallel-namespaces", "1", "--parallel-resources", "100"];
    assert.equal(command({}), [
      ...common,
      "info",
      ...parallel,
      "--parallel-policies",
      "5",
      "--page-size",
      "100",
      ...pki,
      "-i",
      "kube-system",
      "--report-kind",
      "openreports",
    ]);
    assert.equal(
      command({
        logLevel: "warn",
        parallelPolicies: 0,
        pageSize: -1,
        disableStore: true,
        outputScan: true,
        skipAdditionalNamespaces: ["x"],
        reportCRDsKind: null,
      }),
      [
        ...common,
        "warning",
        ...parallel,
        "--disable-store",
        ...pki,
        "--output-scan",
        "-i",
        "kube-system",
        "-i",
        "x",
      ],
    );
  }
});

helmTest("the scanner's CronJob, account and rights follow their values", () => {
  for (const { chart } of CONTROLLER_CHARTS) {
    const scanner = (objects: readonly Any[]) =>
      objects.filter(({ metadata }) => /^audit-scanner/.test(metadata.name)).map(({ kind }) => kind).sort();
    const rights = ["ClusterRole", "ClusterRoleBinding", "ClusterRoleBinding", "ServiceAccount"];
    assert.equal(scanner(render(chart)), [...rights, "CronJob"].sort());
    assert.equal(scanner(render(chart, { set: ["auditScanner.enable=false"] })), rights);
    assert.equal(scanner(render(chart, { set: ["auditScanner.serviceAccountName=own"] })), ["CronJob"]);
    const { spec } = one(render(chart), "CronJob");
    const { jobTemplate: _, ...rest } = spec;
    assert.equal(rest, {
      schedule: "0 * * * *",
      concurrencyPolicy: "Forbid",
      failedJobsHistoryLimit: 5,
      successfulJobsHistoryLimit: 3,
    });
    assert.is(podOf(one(render(chart), "CronJob")).spec.restartPolicy, "Never");
  }
});

helmTest("the sidecar's collector has a pipeline for each signal that has somewhere to go", () => {
  const sidecar = {
    metrics: { port: 8080 },
    tracing: { jaeger: { endpoint: "j:4317", tls: { insecure: true } } },
  };
  const { config } = one(
    render("portreeve", { values: { telemetry: { metrics: true, tracing: true, sidecar } } }),
    "OpenTelemetryCollector",
    "kubewarden",
  ).spec;
  assert.equal(config.service.pipelines, {
    metrics: { receivers: ["otlp"], exporters: ["prometheus"] },
    traces: { receivers: ["otlp"], processors: ["batch"], exporters: ["otlp/jaeger"] },
  });
  assert.equal(config.exporters, {
    "otlp/jaeger": { endpoint: "j:4317", tls: { insecure: true } },
    prometheus: { endpoint: ":8080" },
  });
  const metrics = one(
    render("portreeve-controller", { values: { telemetry: { metrics: true, tracing: true } } }),
    "OpenTelemetryCollector",
  ).spec.config;
  assert.equal(Object.keys(metrics.service.pipelines), ["metrics"]);
});

helmTest("helm test has a Pod rejected: with rights of its own, which go when it has passed", () => {
  for (const { chart, release } of CONTROLLER_CHARTS) {
    const tests = (values: Any) =>
      render(chart, { release, values }).filter(({ metadata }) =>
        metadata.annotations?.["helm.sh/hook"] === "test"
      );
    const objects = tests({});
    assert.equal(objects.map(({ kind }) => kind).sort(), [
      "ClusterRole",
      "ClusterRoleBinding",
      "Pod",
      "Role",
      "RoleBinding",
      "ServiceAccount",
    ]);
    for (const { kind, metadata } of objects) {
      assert.is(
        metadata.annotations["helm.sh/hook-delete-policy"],
        "before-hook-creation,hook-succeeded",
        kind,
      );
      // The Pod needs the others.
      assert.is(metadata.annotations["helm.sh/hook-weight"], kind === "Pod" ? "0" : "-1", kind);
    }
    const pod = one(objects, "Pod", `${release}-test`);
    const [{ image, args }] = pod.spec.containers;
    assert.is(image, "ghcr.io/portreeve/controller:v0.1.0");
    assert.equal(args, [
      "--check-admission=ghcr.io/kubewarden/policies/pod-privileged:v1.0.13",
      "--check-admission-namespace=default",
      "--deployments-namespace=kubewarden",
      "--always-accept-admission-reviews-on-deployments-namespace",
    ]);
    for (const name of ["ClusterRoleBinding", "RoleBinding"]) {
      assert.equal(one(objects, name).subjects, [
        { kind: "ServiceAccount", name: pod.spec.serviceAccountName, namespace: "kubewarden" },
      ]);
    }
    const own = tests({ helmTest: { module: "r.example/p:1", namespace: "apps" } });
    assert.equal(one(own, "Pod").spec.containers[0].args.slice(0, 2), [
      "--check-admission=r.example/p:1",
      "--check-admission-namespace=apps",
    ]);
    assert.is(one(own, "Role").metadata.namespace, "apps");
    const registry = tests({ global: { cattle: { systemDefaultRegistry: "r.example:5000" } } });
    assert.match(
      one(registry, "Pod").spec.containers[0].args[0],
      /=r\.example:5000\/kubewarden\/policies\/pod-privileged/,
    );
  }
});

test.run();
