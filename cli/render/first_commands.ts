/** What `reeve` without words says: the commands that people need first. `kwctl` goes on showing all of them. */

const FIRST: readonly (readonly [command: string, does: string])[] = [
  ["reeve run policy.wasm -r request.json", "what a policy answers to a request"],
  ["reeve test", "whether it answers what its suite.yml says"],
  ["reeve annotate policy.wasm -m metadata.yml -o annotated.wasm", "puts its metadata into it"],
  ["reeve push annotated.wasm registry.example.org/policies/mine:v1", "publishes it"],
  ["reeve scaffold manifest -t ClusterAdmissionPolicy registry://…", "writes the resource that uses it"],
];

/** The text, which ends with a line break. */
export function firstCommands(): string {
  const rows = FIRST.map(([command, does]) => `  ${command}\n      ${does}\n`);
  return `reeve runs, tests and ships policies for Kubernetes. To begin with:\n\n${
    rows.join("")
  }\nAll commands: reeve --help. The flags of one: reeve run --help\n`;
}
