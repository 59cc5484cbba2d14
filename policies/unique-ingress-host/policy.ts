/** Lets no two Ingresses of a cluster have one host. */
import {
  accept,
  type AdmissionRequest,
  definePolicy,
  type KubernetesObject,
  listResources,
  reject,
} from "portreeve/policy";
import * as v from "valibot";

interface Ingress extends KubernetesObject {
  spec?: { rules?: { host?: string }[] };
}

const settings = v.strictObject({
  /** Hosts that several Ingresses may have. */
  shared: v.optional(v.array(v.pipe(v.string(), v.nonEmpty("is no host"))), []),
});

/** Names of hosts are one in upper and lower case. */
const hostsOf = ({ spec }: Ingress) =>
  (spec?.rules ?? []).flatMap(({ host }) => host === undefined || host === "" ? [] : [host.toLowerCase()]);

const nameOf = ({ metadata }: Ingress) => `${metadata?.namespace}/${metadata?.name}`;

export default definePolicy({
  settings,
  validate(request: AdmissionRequest<Ingress>, { settings: { shared }, host }) {
    const free = new Set(shared.map((one) => one.toLowerCase()));
    const wanted = new Set(
      request.object === undefined ? [] : hostsOf(request.object).filter((one) => !free.has(one)),
    );
    if (wanted.size === 0) return accept();
    const own = `${request.namespace}/${request.name ?? request.object?.metadata?.name}`;
    const faults = listResources<Ingress>(host, { apiVersion: "networking.k8s.io/v1", kind: "Ingress" })
      .filter((other) => nameOf(other) !== own)
      .flatMap((other) =>
        [...new Set(hostsOf(other))].filter((one) => wanted.has(one)).map((one) =>
          `${one} is a host of ${nameOf(other)}`
        )
      )
      // What the cluster gives has no order.
      .sort();
    return faults.length === 0 ? accept() : reject(faults.join("; "), { code: 409 });
  },
});
