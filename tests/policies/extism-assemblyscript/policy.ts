/**
 * An Extism plug-in in AssemblyScript: the hosts of an Ingress must lie in the granted domains and, where the settings say so,
 * be known to DNS; an Ingress without a class gets the one of the settings.
 */
import { Host } from "@extism/as-pdk";
import { JSON } from "json-as";
import { callHost } from "./host_call";

@json
class Settings {
  domains: string[] = [];
  mustResolve: bool = false;
  defaultClass: string = "";
}

@json
class Rule {
  host: string = "";
}

@json
class IngressSpec {
  ingressClassName: string | null = null;
  rules: Rule[] = [];
}

@json
class Ingress {
  spec: IngressSpec | null = null;
}

/** The parts that this policy looks at, and the object as it came, to be given back changed. */
@json
class Request {
  object: JSON.Raw | null = null;
}

@json
class Payload {
  request: Request = new Request();
  settings: Settings = new Settings();
}

@json
class ValidationResponse {
  accepted: bool = true;
  @omitnull()
  message: string | null = null;
  @omitnull()
  mutated_object: Map<string, JSON.Raw> | null = null;
}

@json
class SettingsResponse {
  valid: bool = true;
  @omitnull()
  message: string | null = null;
}

function answer(json: string): i32 {
  Host.output(Uint8Array.wrap(String.UTF8.encode(json)));
  return 0;
}

function reject(message: string): i32 {
  const response = new ValidationResponse();
  response.accepted = false;
  response.message = message;
  return answer(JSON.stringify(response));
}

function granted(host: string, domains: string[]): bool {
  for (let index = 0; index < domains.length; index++) {
    if (host == domains[index] || host.endsWith("." + domains[index])) return true;
  }
  return false;
}

export function validate(): i32 {
  const payload = JSON.parse<Payload>(Host.inputString());
  const settings = payload.settings;
  const object = payload.request.object;
  const response = new ValidationResponse();
  if (object === null) return answer(JSON.stringify(response));
  const spec = JSON.parse<Ingress>(object.toString()).spec;
  if (spec === null) return answer(JSON.stringify(response));
  for (let index = 0; index < spec.rules.length; index++) {
    const host = spec.rules[index].host;
    if (!granted(host, settings.domains)) return reject(`the host "${host}" is not in a granted domain`);
    if (!settings.mustResolve) continue;
    const found = callHost("net", "v1/dns_lookup_host", JSON.stringify(host));
    if (!found.ok) return reject(`the host "${host}" can't be looked up: ${found.error}`);
  }
  if (spec.ingressClassName === null && settings.defaultClass != "") {
    // Raw values go back as they came: an integer beyond 2^53 would not survive being read as a number.
    const changed = JSON.parse<Map<string, JSON.Raw>>(object.toString());
    const changedSpec = JSON.parse<Map<string, JSON.Raw>>(changed.get("spec").toString());
    changedSpec.set("ingressClassName", new JSON.Raw(JSON.stringify(settings.defaultClass)));
    changed.set("spec", new JSON.Raw(JSON.stringify(changedSpec)));
    response.mutated_object = changed;
  }
  return answer(JSON.stringify(response));
}

export function validate_settings(): i32 {
  const response = new SettingsResponse();
  if (JSON.parse<Settings>(Host.inputString()).domains.length == 0) {
    response.valid = false;
    response.message = "domains must name at least one domain";
  }
  return answer(JSON.stringify(response));
}
