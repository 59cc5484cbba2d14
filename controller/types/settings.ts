/** How the controller was told to work: flags and environment, parsed (spec/controller.md §1.1, §1.2). */

export type ControllerSettings = {
  /** The one namespace in which policy servers and everything they need live. */
  readonly namespace: string;
  readonly alwaysAcceptReviewsInNamespace: boolean;
  /** ConfigMap whose `client-ca.crt` signs the API server's client certificate; turns mutual TLS on. */
  readonly clientCaConfigMap: string | undefined;
  readonly imagePullSecrets: readonly string[];
  readonly hostNetwork: boolean;
  readonly metrics: boolean;
  readonly tracing: boolean;
  readonly otelSidecar: boolean;
  readonly otelCertificateSecret: string | undefined;
  readonly otelClientCertificateSecret: string | undefined;
  /** The `OTEL_EXPORTER_OTLP_*` variables of the controller's own environment. */
  readonly otelEnvironment: { readonly [name: string]: string };
  /** Port on which policy servers' metrics are collected, and the Service's port where `spec.metricsPort` is absent. */
  readonly metricsPort: number;
  /** Service in front of the controller's own webhooks; their certificate is made out to it. */
  readonly webhookServiceName: string;
  /** ConfigMap with the default resources to apply; it need not exist. */
  readonly defaultsConfigMap: string;
  /**
   * ConfigMap with the controller's own configuration, in which the allow list of resources for namespaced policies stands;
   * `undefined`: no list, every such policy is deployed. A ConfigMap that does not exist allows nothing.
   */
  readonly controllerConfigMap: string | undefined;
  /** Ports that the controller itself binds: on a shared host network, policy servers must keep off them. */
  readonly ownPorts: readonly { readonly name: string; readonly port: number }[];
};

/** The settings of a controller that was given nothing but its namespace. */
export function defaultSettings(namespace: string): ControllerSettings {
  return {
    namespace,
    alwaysAcceptReviewsInNamespace: false,
    clientCaConfigMap: undefined,
    imagePullSecrets: [],
    hostNetwork: false,
    metrics: false,
    tracing: false,
    otelSidecar: false,
    otelCertificateSecret: undefined,
    otelClientCertificateSecret: undefined,
    otelEnvironment: {},
    metricsPort: 8080,
    webhookServiceName: "kubewarden-controller-webhook-service",
    defaultsConfigMap: "kubewarden-defaults",
    controllerConfigMap: undefined,
    ownPorts: [
      { name: "webhook", port: 9443 },
      { name: "health probe", port: 8081 },
      { name: "metrics", port: 8088 },
    ],
  };
}
