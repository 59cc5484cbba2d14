/** The software bill of materials of an image, an executable or the package, in CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/). */
import type { BundledPackage } from "./bundle.ts";
import type { DebianPackage } from "./debian.ts";

/** What something is made of. */
export interface Materials {
  readonly title: string;
  readonly version: string;
  /** Undefined where none is in it. */
  readonly runtime: { readonly package: string; readonly version: string } | undefined;
  readonly debian: readonly DebianPackage[];
  readonly npm: readonly BundledPackage[];
  readonly architecture: string;
}

const npmUrl = (name: string, version: string) => `pkg:npm/${name.replace("@", "%40")}@${version}`;

/** The bill as JSON text; the same materials give the same bytes. */
export function billOfMaterials(materials: Materials): string {
  const { title, version, runtime, debian, npm, architecture } = materials;
  const library = (name: string, of: string, purl: string, license?: string) => ({
    type: "library",
    "bom-ref": purl,
    name,
    version: of,
    purl,
    ...(license === undefined ? {} : { licenses: [{ expression: license }] }),
  });
  const components = [
    ...runtime === undefined ? [] : [{
      ...library(runtime.package, runtime.version, npmUrl(runtime.package, runtime.version)),
      type: "platform",
    }],
    ...debian.map(({ name, version: of }) =>
      library(name, of, `pkg:deb/debian/${name}@${encodeURIComponent(of)}?arch=${architecture}`)
    ),
    ...npm.map(({ name, version: of, license }) =>
      library(name, of, npmUrl(name, of), license === "NOASSERTION" ? undefined : license)
    ),
  ];
  return JSON.stringify(
    {
      bomFormat: "CycloneDX",
      specVersion: "1.6",
      version: 1,
      metadata: { component: { type: "application", "bom-ref": title, name: title, version } },
      components,
    },
    undefined,
    2,
  ) + "\n";
}
