// A policy in JavaScript for Kubewarden's SDK and its Javy plug-in. A Pod needs the label that the settings name, with the value
// that its namespace has, if the settings want so, and resolves the host that its annotation `host` names. What else it is told
// by the annotation or the setting `do` shows how the engine fails.
import { hostCapabilities, Validation as validation, writeOutput } from "kubewarden-policy-sdk";

const { Validation } = validation;
const { Kubernetes, Network } = hostCapabilities;

/** What the module remembers while it runs, and not a moment longer. */
const seen = [];

function misbehave(told, { bytes = "0" } = {}) {
  switch (told) {
    case undefined:
      return;
    case "throw":
      throw new Error("out of order");
    case "throw-text":
      throw "just a text";
    case "later":
      // The plug-in has no event loop.
      Promise.resolve().then(() => console.error("later"));
      return;
    case "loop":
      for (;;);
    case "search":
      // Time that is spent in one call of the engine.
      /^(a+)+$/.test(`${"a".repeat(64)}b`);
      return;
    case "recurse":
      return void (function again() {
        again();
        again();
      })();
    case "fill":
      for (;;) seen.push(new Array(100_000).fill(seen.length));
    case "console":
      console.error("a warning", 1, ["list"]);
      return;
    case "print":
      console.log("not an answer");
      return;
    case "remember":
      seen.push(told);
      globalThis.turns = (globalThis.turns ?? 0) + 1;
      throw new Error(`${seen.length} seen, turn ${globalThis.turns}, ${Math.random() < 1}`);
    case "pad":
      seen.push("x".repeat(Number(bytes)));
      return;
    default:
      throw new Error(`unknown word ${told}`);
  }
}

function ownerOf(namespace, label) {
  const request = { api_version: "v1", kind: "Namespace", name: namespace, disable_cache: false };
  return Kubernetes.getResource(request).metadata.labels?.[label];
}

function validate() {
  const { request, settings } = Validation.readValidationRequest();
  const { label = "owner", ofNamespace = false, default: value } = settings;
  const { metadata } = request.object;
  misbehave(metadata.annotations?.do, metadata.annotations);
  const host = metadata.annotations?.host;
  if (host !== undefined) {
    const { ips } = Network.dnsLookup(host);
    console.error(`${host} is ${ips.join(", ")}`);
  }
  const found = metadata.labels?.[label];
  if (found === undefined && value !== undefined) {
    const labels = { ...metadata.labels, [label]: value };
    const padding = seen.length === 0 ? {} : { padding: seen[0] };
    const object = { ...request.object, metadata: { ...metadata, labels, ...padding } };
    return new Validation.ValidationResponse(true, undefined, undefined, object, { label }, [
      `${label} is now ${value}`,
    ]);
  }
  if (found === undefined) return Validation.rejectRequest(`the label "${label}" is missing`, 422);
  const owner = ofNamespace ? ownerOf(request.namespace, label) : found;
  if (found !== owner) {
    return Validation.rejectRequest(`"${label}" is "${found}", in this namespace it is "${owner}": ünïcödé 🦜`);
  }
  return Validation.acceptRequest();
}

function validateSettings() {
  const settings = Validation.readValidationRequest();
  misbehave(settings.do);
  const unknown = Object.keys(settings).filter((name) =>
    !["label", "ofNamespace", "default", "do"].includes(name)
  );
  return unknown.length === 0
    ? new Validation.SettingsValidationResponse(true)
    : new Validation.SettingsValidationResponse(false, `unknown settings: ${unknown.join(", ")}`);
}

writeOutput(policyAction() === "validate-settings" ? validateSettings() : validate());
