/** Lets images come from trusted registries only, and pins them to the digests that their tags have now. */
import {
  accept,
  containersOf,
  definePolicy,
  manifestDigest,
  mutate,
  podSpecOf,
  reject,
} from "portreeve/policy";
import * as v from "valibot";

/** A host and its port, and the beginning of a path: `registry.example.org:5000/team`. */
const REGISTRY = /^[a-z0-9.-]+(:[0-9]+)?(\/[a-z0-9._-]+)*$/;

const settings = v.strictObject({
  registries: v.pipe(
    v.array(
      v.pipe(
        v.string(),
        v.regex(REGISTRY, "is no registry: write registry.example.org or registry.example.org/team"),
      ),
    ),
    v.minLength(1, "name at least one registry"),
  ),
  pinDigests: v.optional(v.boolean(), false),
});

/** The image with its registry, as container runtimes complete it. */
function complete(image: string): string {
  const [first = "", ...path] = image.split("/");
  if (path.length === 0) return `docker.io/library/${image}`;
  return /[.:]/.test(first) || first === "localhost" ? image : `docker.io/${image}`;
}

export default definePolicy({
  settings,
  validate(request, { settings: { registries, pinDigests }, host }) {
    const containers = containersOf(podSpecOf(request.object));
    const wrong = containers.filter(({ image }) =>
      image !== undefined && !registries.some((registry) => complete(image).startsWith(`${registry}/`))
    );
    if (wrong.length > 0) {
      const images = [...new Set(wrong.map(({ name, image }) => `${image} (container ${name})`))];
      return reject(`not from a trusted registry: ${images.join(", ")}`, { code: 403 });
    }
    const tagged = pinDigests
      ? containers.filter(({ image }) => image !== undefined && !image.includes("@"))
      : [];
    if (tagged.length === 0) return accept();
    for (const container of tagged) container.image += `@${manifestDigest(host, complete(container.image!))}`;
    return mutate(request.object);
  },
});
