/**
 * Finds out which builtins of the real OPA a module leaves to its host: compiles calls of all of them and reads the module's
 * list. What can't be compiled to Wasm at all is not in it.
 *
 * usage: list_host_builtins.ts > tests/evaluator/rego_host_builtins.json   (needs `opa`, see tests/tools/build_opa.sh)
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { findOpa } from "./record_rego_answers.ts";

interface Declared {
  readonly name: string;
  readonly decl: { readonly args?: readonly unknown[]; readonly result?: unknown };
  readonly infix?: string;
}

/** Names that a module which calls all builtins asks its host for. */
export function hostBuiltins(opa: string): string[] {
  const { builtins } = JSON.parse(execFileSync(opa, ["capabilities", "--current"], { encoding: "utf8" })) as {
    builtins: Declared[];
  };
  // Operators, and what the compiler replaces.
  const called = builtins.filter(({ name, infix, decl }) =>
    infix === undefined && decl.result !== undefined &&
    !/^(internal\.|rego\.metadata\.|eq$|assign$)/.test(name)
  );
  const rules = called.map(({ name, decl }, at) => {
    const operands = (decl.args ?? []).map((_, operand) => `input.a${operand}`);
    return `called[${at}] = x { x := ${name}(${operands.join(", ")}) }`;
  });
  const folder = mkdtempSync(join(tmpdir(), "rego-"));
  try {
    writeFileSync(join(folder, "all.rego"), `package all\n\n${rules.join("\n")}\n`);
    const args = [
      "build",
      "-t",
      "wasm",
      "--v0-compatible",
      "-e",
      "all/called",
      "-o",
      "all.tar.gz",
      "all.rego",
    ];
    execFileSync(opa, args, { cwd: folder });
    execFileSync("tar", ["xzf", "all.tar.gz", "/policy.wasm"], {
      cwd: folder,
      stdio: ["ignore", "ignore", "ignore"],
    });
    return listed(readFileSync(join(folder, "policy.wasm")));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function listed(wasm: Uint8Array): string[] {
  const memory = new WebAssembly.Memory({ initial: 16 });
  const none = () => 0;
  const env = Object.fromEntries(
    ["opa_abort", "opa_println", ...[0, 1, 2, 3, 4].map((count) => `opa_builtin${count}`)].map((
      name,
    ) => [name, none]),
  );
  const module = new WebAssembly.Module(wasm as BufferSource);
  const { exports } = new WebAssembly.Instance(module, { env: { ...env, memory } });
  const call = (name: string, ...operands: number[]) =>
    (exports[name] as (...operands: number[]) => number)(...operands);
  const bytes = new Uint8Array(memory.buffer);
  const at = call("opa_json_dump", call("builtins"));
  const text = new TextDecoder().decode(bytes.subarray(at, bytes.indexOf(0, at)));
  return Object.keys(JSON.parse(text)).sort();
}

if (import.meta.main) {
  const opa = findOpa();
  if (opa === undefined) throw new Error("opa is not there: run tests/tools/build_opa.sh");
  process.stdout.write(`${JSON.stringify(hostBuiltins(opa), null, 2)}\n`);
}
