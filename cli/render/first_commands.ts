/** What `reeve` without words says: the commands that people need first. `kwctl` goes on showing all of them. */

const FIRST: readonly (readonly [command: string, does: string])[] = [
  ["reeve new my-policy", "a new policy's folder, and what to type next"],
  ["reeve run policy.wasm -r request.json", "what a policy answers to a request"],
  ["reeve test", "whether it answers what its suite.yml says"],
  ["reeve push policy.wasm registry.example.org/policies/mine:v1", "publishes it"],
  ["reeve scaffold manifest -t ClusterAdmissionPolicy registry://…", "writes the resource that uses it"],
];

/** The text, which ends with a line break. */
export function firstCommands(): string {
  const rows = FIRST.map(([command, does]) => `  ${command}\n      ${does}\n`);
  return `reeve makes, tests and ships policies for Kubernetes. To begin with:\n\n${
    rows.join("")
  }\nAll commands: reeve --help. The flags of one: reeve run --help\n`;
}
