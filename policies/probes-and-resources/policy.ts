/** Requires probes and resources of containers; namespaces may have rules of their own. */
import { accept, type Container, definePolicy, podSpecOf, reject } from "portreeve/policy";
import * as v from "valibot";

const resource = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9]([a-z0-9./-]*[a-z0-9])?$/, "is no resource: write cpu or memory"),
);

/** What is required; everything may be left out. */
const RULES = {
  probes: v.optional(v.array(v.picklist(["livenessProbe", "readinessProbe", "startupProbe"]))),
  requests: v.optional(v.array(resource)),
  limits: v.optional(v.array(resource)),
};

const settings = v.strictObject({
  ...RULES,
  /** Instead of the rules above, one by one. */
  namespaces: v.optional(v.record(v.string(), v.strictObject(RULES)), {}),
});

type Rules = v.InferOutput<v.ObjectSchema<typeof RULES, undefined>>;

/** Pods that run to their end are not asked whether they live. */
const ENDING = new Set(["Job", "CronJob"]);

/** What a container lacks. */
function missing(
  container: Container,
  { probes = [], requests = [], limits = [] }: Rules,
  ends: boolean,
): string[] {
  const has = (kind: "requests" | "limits", name: string) =>
    Object.hasOwn(container.resources?.[kind] ?? {}, name);
  return [
    ...probes.filter((probe) => !ends && container[probe] === undefined),
    ...requests.filter((name) => !has("requests", name)).map((name) => `resources.requests.${name}`),
    ...limits.filter((name) => !has("limits", name)).map((name) => `resources.limits.${name}`),
  ];
}

export default definePolicy({
  settings,
  validateSettings({ namespaces, ...rules }) {
    const count = [rules, ...Object.values(namespaces)].flatMap((one) => Object.values(one)).flat().length;
    return count === 0 ? "nothing is required: give probes, requests or limits" : undefined;
  },
  validate(request, { settings: { namespaces, ...general } }) {
    const name = request.namespace ?? "";
    const rules = Object.hasOwn(namespaces, name) ? { ...general, ...namespaces[name] } : general;
    const ends = ENDING.has(request.kind.kind);
    // Init containers run to their end, and ephemeral ones can have neither probes nor resources.
    const faults = (podSpecOf(request.object)?.containers ?? []).flatMap((container) => {
      const lacks = missing(container, rules, ends);
      return lacks.length === 0 ? [] : [`container ${container.name} lacks ${lacks.join(", ")}`];
    });
    return faults.length === 0 ? accept() : reject(faults.join("; "), { code: 422 });
  },
});
