/** Who sends: the resource of OTLP's messages. */
import { loadOtelResources, type OtelResource } from "../../deps.ts";

/**
 * The standard resource: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` go before `name`, unless it is `fixed`.
 */
export async function resource(name: string, fixed: boolean): Promise<OtelResource> {
  const { defaultResource, detectResources, envDetector, resourceFromAttributes } = await loadOtelResources();
  const own = resourceFromAttributes({ "service.name": name });
  const given = detectResources({ detectors: [envDetector] });
  await given.waitForAsyncAttributes?.();
  const all = defaultResource().merge(own).merge(given);
  return fixed ? all.merge(own) : all;
}
