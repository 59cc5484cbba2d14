/** What each part of the node is told: configuration files and flags. Source of the odd ones: what failed without them. */
import { CLUSTER_DNS, NODE_ADDRESS, type NodeSpec, POD_RANGE, SERVICE_RANGE } from "./network.ts";
import { REGISTRY_NAMES } from "./certificates.ts";

/** Folders and files that the configurations of a node name. */
export interface Places {
  readonly folder: string;
  readonly node: NodeSpec;
  credential(name: string): string;
}

/** The local image that holds a pod's namespaces. */
export const PAUSE_IMAGE = "portreeve.test/pause:1";

export const containerdSocket = ({ folder }: Places) => `${folder}/containerd.sock`;

export const containerdConfig = (places: Places): string =>
  `version = 2
root = "${places.folder}/containerd/root"
state = "${places.folder}/containerd/state"
[grpc]
  address = "${containerdSocket(places)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${places.folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "${places.folder}/registries"
`;

/** For every registry: the node's own stands for it. */
export const registryHosts = (places: Places): string =>
  `server = "https://${NODE_ADDRESS}"
[host."https://${NODE_ADDRESS}"]
  ca = "${places.credential("ca.crt")}"
`;

export const cniConfig = ({ folder, node }: Places): string =>
  JSON.stringify({
    cniVersion: "0.4.0",
    name: "pods",
    plugins: [
      {
        type: "bridge",
        bridge: "pods0",
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: {
          type: "host-local",
          dataDir: `${folder}/addresses`,
          ranges: [[{ subnet: node.pods }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  });

export const kubeletConfig = (places: Places): string =>
  JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    containerRuntimeEndpoint: `unix://${containerdSocket(places)}`,
    failCgroupV1: false,
    cgroupDriver: "cgroupfs",
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    // Never for want of space on a shared machine's disk.
    evictionHard: { "memory.available": "10Mi", "nodefs.available": "0.1%", "imagefs.available": "0.1%" },
    imageGCHighThresholdPercent: 100,
    clusterDNS: [CLUSTER_DNS],
    clusterDomain: "cluster.local",
    resolvConf: `${places.folder}/resolv.conf`,
    authentication: {
      x509: { clientCAFile: places.credential("ca.crt") },
      anonymous: { enabled: false },
      webhook: { enabled: true },
    },
    authorization: { mode: "Webhook" },
    tlsCertFile: places.credential(`kubelet-${places.node.name}.crt`),
    tlsPrivateKeyFile: places.credential(`kubelet-${places.node.name}.key`),
    // Two kubelets that share a folder remove each other's.
    podLogsDir: `${places.folder}/pod-logs`,
    staticPodPath: `${places.folder}/static-pods`,
    syncFrequency: "5s",
    nodeStatusUpdateFrequency: "5s",
  });

export const kubeletFlags = (places: Places): readonly string[] => [
  `--config=${places.folder}/kubelet.json`,
  `--kubeconfig=${places.credential(`kubelet-${places.node.name}.kubeconfig`)}`,
  `--hostname-override=${places.node.name}`,
  `--node-ip=${places.node.address}`,
  `--root-dir=${places.folder}/kubelet`,
];

export const proxyConfig = (places: Places): string =>
  JSON.stringify({
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "iptables",
    clientConnection: { kubeconfig: places.credential("proxy.kubeconfig") },
    clusterCIDR: POD_RANGE,
    conntrack: { maxPerCore: 0 },
    hostnameOverride: places.node.name,
  });

export const etcdFlags = ({ folder }: Places): readonly string[] => [
  `--data-dir=${folder}/etcd`,
  "--listen-client-urls=http://127.0.0.1:2379",
  "--advertise-client-urls=http://127.0.0.1:2379",
  "--listen-peer-urls=http://127.0.0.1:2380",
  "--initial-advertise-peer-urls=http://127.0.0.1:2380",
  "--initial-cluster=default=http://127.0.0.1:2380",
  "--unsafe-no-fsync",
  "--log-level=error",
];

export const apiServerFlags = ({ credential }: Places): readonly string[] => [
  "--etcd-servers=http://127.0.0.1:2379",
  `--advertise-address=${NODE_ADDRESS}`,
  "--secure-port=6443",
  "--authorization-mode=Node,RBAC",
  "--allow-privileged=true",
  `--client-ca-file=${credential("ca.crt")}`,
  `--tls-cert-file=${credential("apiserver.crt")}`,
  `--tls-private-key-file=${credential("apiserver.key")}`,
  `--service-cluster-ip-range=${SERVICE_RANGE}`,
  "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
  `--service-account-key-file=${credential("sa.pub")}`,
  `--service-account-signing-key-file=${credential("sa.key")}`,
  "--kubelet-preferred-address-types=InternalIP",
  `--kubelet-certificate-authority=${credential("ca.crt")}`,
  `--kubelet-client-certificate=${credential("admin.client.crt")}`,
  `--kubelet-client-key=${credential("admin.client.key")}`,
  "--enable-admission-plugins=NodeRestriction",
  `--admission-control-config-file=${credential("admission.json")}`,
];

/** The API server shows this client certificate to webhooks of the stack's namespace; a webhook that asks for none gets none. */
export const admissionConfiguration = ({ credential }: Places): string =>
  JSON.stringify({
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "AdmissionConfiguration",
    plugins: ["ValidatingAdmissionWebhook", "MutatingAdmissionWebhook"].map((name) => ({
      name,
      configuration: {
        apiVersion: "apiserver.config.k8s.io/v1",
        kind: "WebhookAdmissionConfiguration",
        kubeConfigFile: credential("webhook-client.kubeconfig"),
      },
    })),
  });

export const webhookClientKubeconfig = ({ credential }: Places): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    users: [{
      name: "*.kubewarden.svc",
      user: {
        "client-certificate": credential("webhook-client.crt"),
        "client-key": credential("webhook-client.key"),
      },
    }],
  });

export const controllerManagerFlags = ({ credential }: Places): readonly string[] => [
  `--kubeconfig=${credential("controller-manager.kubeconfig")}`,
  `--root-ca-file=${credential("ca.crt")}`,
  `--service-account-private-key-file=${credential("sa.key")}`,
  `--cluster-signing-cert-file=${credential("ca.crt")}`,
  `--cluster-signing-key-file=${credential("ca.key")}`,
  "--use-service-account-credentials=true",
  "--leader-elect=false",
  "--node-monitor-grace-period=60s",
];

export const schedulerFlags = ({ credential }: Places): readonly string[] => [
  `--kubeconfig=${credential("scheduler.kubeconfig")}`,
  "--leader-elect=false",
];

/** CoreDNS on the node's address; the registries that tests name are the node's own. */
export const corefile = ({ credential }: Places): string =>
  `.:53 {
    bind ${CLUSTER_DNS}
    errors
    hosts {
${REGISTRY_NAMES.map((name) => `        ${NODE_ADDRESS} ${name}`).join("\n")}
        fallthrough
    }
    kubernetes cluster.local in-addr.arpa {
        kubeconfig ${credential("dns.kubeconfig")}
        pods insecure
    }
}
`;

/** Docker's registry of Debian, for images and policies alike. */
export const registryConfig = (places: Places): string =>
  JSON.stringify({
    version: "0.1",
    log: { level: "warn" },
    storage: { filesystem: { rootdirectory: `${places.folder}/registry` }, delete: { enabled: true } },
    http: {
      addr: `${NODE_ADDRESS}:443`,
      tls: { certificate: places.credential("registry.crt"), key: places.credential("registry.key") },
    },
  });

/** Prometheus scrapes what the files in `targets/` list; a test writes one. Debian's has no discovery by Kubernetes. */
export const prometheusConfig = ({ folder }: Places): string =>
  JSON.stringify({
    global: { scrape_interval: "2s" },
    scrape_configs: [{
      job_name: "stack",
      file_sd_configs: [{ files: [`${folder}/targets/*.json`], refresh_interval: "1s" }],
    }],
  });
