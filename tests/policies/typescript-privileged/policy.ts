/** What policies/pod-privileged does in Rust, in TypeScript: the two are measured beside each other (`bench/`). */
import { accept, type Container, definePolicy, podSpecOf, reject } from "portreeve/policy";

const SKIP = {
  initContainers: "skip_init_containers",
  ephemeralContainers: "skip_ephemeral_containers",
} as const;

const isPrivileged = ({ securityContext }: Container) => securityContext?.privileged === true;

export default definePolicy({
  validate(request, { settings }) {
    const spec = podSpecOf(request.object);
    if (spec === undefined) return accept();
    for (const kind of ["containers", "initContainers", "ephemeralContainers"] as const) {
      const containers: unknown = spec[kind] ?? [];
      if (!Array.isArray(containers)) return reject(`Cannot read the pod specification: ${kind} is no list`);
      const skipped = kind !== "containers" && settings[SKIP[kind]] === true;
      if (!skipped && containers.some(isPrivileged)) return reject("Privileged container is not allowed");
    }
    return accept();
  },
  validateSettings(settings) {
    const known: readonly string[] = Object.values(SKIP);
    for (const [name, value] of Object.entries(settings)) {
      if (!known.includes(name)) return `unknown field \`${name}\``;
      if (typeof value !== "boolean") return `${name}: expected a boolean`;
    }
    return undefined;
  },
});
