/** A kind of object and its place in the API. */

export type Resource = {
  readonly kind: string;
  readonly apiVersion: string;
  readonly plural: string;
  readonly namespaced: boolean;
};

/** Path of a collection, or of one object in it. */
export function resourcePath(
  { apiVersion, plural, namespaced }: Resource,
  namespace?: string,
  name?: string,
  subresource?: string,
): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const within = namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  const object = name === undefined ? "" : `/${encodeURIComponent(name)}`;
  return `${root}${within}/${plural}${object}${subresource === undefined ? "" : `/${subresource}`}`;
}
