/** The order that Kubernetes gives to the versions of an API: v2, v1, v2beta1, v1beta2, v1alpha1, anything else. */

/** Smaller for versions that are preferred. */
export function versionRank(version: string): number {
  const [, major = "0", stage, minor = "0"] = /^v(\d{1,6})(?:(alpha|beta)(\d{1,6}))?$/.exec(version) ?? [];
  if (major === "0") return Number.MAX_SAFE_INTEGER;
  const STAGE = 1e13;
  const base = stage === undefined ? 0 : stage === "beta" ? STAGE : 2 * STAGE;
  return base + (1e6 - Number(major)) * 1e6 + (1e6 - Number(minor));
}
