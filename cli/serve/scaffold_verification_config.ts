/** `scaffold verification-config`: a configuration to begin with. */
import { pathsOf } from "../apply/paths.ts";
import type { Run } from "../types/command.ts";

export const run: Run = (context) => {
  context.out(
    [
      "# Default Kubewarden verification config",
      "#",
      "# With this config, the only valid policies are those signed by Kubewarden",
      "# infrastructure.",
      "#",
      `# This config can be saved to its default location (${
        pathsOf(context.env).defaultVerification
      }) with:`,
      `#   ${context.program} scaffold verification-config > ${pathsOf(context.env).defaultVerification}`,
      "---",
      "apiVersion: v1",
      "allOf:",
      "- kind: githubAction",
      "  owner: kubewarden",
      "  repo: null",
      "  annotations: null",
      "anyOf: null",
      "",
    ].join("\n"),
  );
  return Promise.resolve();
};
