// Stands in for the package `kubewarden-policy-sdk`, which the registries that this repository is built from do not have: what
// policy.js uses of it, under the same names, upon the globals of the plug-in (docs/spec/evaluator.md §6.2).
// `tests/tools/build_javy.sh SDK` builds the policy with the package itself.
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** All that standard input holds now: after a host call, what it was answered. */
function readInput() {
  const pieces = [];
  for (;;) {
    const piece = new Uint8Array(1024);
    const length = Javy.IO.readSync(0, piece);
    if (length === 0) break;
    pieces.push(piece.subarray(0, length));
  }
  const input = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    input.set(piece, at);
    at += piece.length;
  }
  return decoder.decode(input);
}

/** Standard output takes the whole answer at once, or the policy has none. */
export function writeOutput(answer) {
  Javy.IO.writeSync(1, encoder.encode(JSON.stringify(answer)));
}

function hostCall(namespace, operation, payload) {
  const succeeded = __hostCall(
    "kubewarden",
    namespace,
    operation,
    encoder.encode(JSON.stringify(payload)).buffer,
  );
  const answer = readInput();
  if (!succeeded) throw new Error(`Host call failed: ${answer}`);
  return JSON.parse(answer);
}

class ValidationResponse {
  constructor(accepted, message, code, mutated_object, audit_annotations, warnings) {
    Object.assign(this, { accepted, message, code, mutated_object, audit_annotations, warnings });
  }
}

class SettingsValidationResponse {
  constructor(valid, message) {
    Object.assign(this, { valid, message });
  }
}

export const Validation = {
  Validation: {
    ValidationResponse,
    SettingsValidationResponse,
    acceptRequest: () => new ValidationResponse(true),
    rejectRequest: (message, code) => new ValidationResponse(false, message, code),
    readValidationRequest: () => JSON.parse(readInput()),
  },
};

export const hostCapabilities = {
  Kubernetes: { getResource: (request) => hostCall("kubernetes", "get_resource", request) },
  Network: { dnsLookup: (host) => hostCall("net", "v1/dns_lookup_host", host) },
};
