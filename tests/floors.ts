/**
 * The rules of ARCHITECTURE.md on who may import what, as a function from one file's text to what is wrong with it.
 *
 * Rooms import only the rooms in their row. In a room a file imports only from its own floor or one below: types, render,
 * apply, serve. Packages are named in deps.ts alone, `node:` modules not below apply.
 */
import { dirname, join, normalize } from "node:path/posix";

/** What each room may import of the others; what lies outside of all rooms (scripts) is not held to anything here. */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  program: [],
  http: [],
  crd: ["program"],
  kubernetes: ["crd/types", "http", "program"],
  evaluator: ["crd/types", "program"],
  typescript: ["evaluator", "program"],
  artifact: ["http", "program"],
  telemetry: ["program"],
  admission: ["crd/types", "evaluator", "artifact", "program"],
  policy_server: [
    "crd/types",
    "kubernetes",
    "admission",
    "evaluator",
    "artifact",
    "http",
    "telemetry",
    "program",
  ],
  controller: ["crd", "kubernetes", "http", "telemetry", "program"],
  audit: ["crd", "kubernetes", "program"],
  cli: [
    "crd",
    "kubernetes",
    "admission",
    "evaluator",
    "artifact",
    "policy_server",
    "controller",
    "audit",
    "typescript",
    "program",
  ],
};

/** The floors from the ground up. */
const FLOORS = ["types", "render", "apply", "serve"] as const;
/** Beside the floors: wires them, and so may import them all. */
const ROOF = FLOORS.length;
const APPLY = FLOORS.indexOf("apply");

/** The room that a file belongs to; undefined for what lies outside. */
export function roomOf(path: string): string | undefined {
  const [room = ""] = path.split("/");
  return path.includes("/") && Object.hasOwn(ROOMS, room) ? room : undefined;
}

/** The floor that a file's folder or name carries; the top for `main.ts`, `mod.ts` and other files beside the floors. */
export function floorOf(path: string): number {
  const segments = path.replace(/\.ts$/, "").split("/").slice(1);
  // In `evaluator/` every execution mode is a file of its own; they link and call guests, which is what apply does.
  if (segments[0] === "runtimes") return APPLY;
  const floor = FLOORS.findIndex((name) => segments.includes(name));
  return floor < 0 ? ROOF : floor;
}

/** Every module that a file imports or exports from, be it as types or when it runs. */
export function importsOf(source: string): readonly string[] {
  // Comments may speak of imports; strings that hold a comment's beginning are no imports.
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const found = [
    ...code.matchAll(/^\s*(?:import|export)\b[^"';]*?\bfrom\s*["']([^"']+)["']/gm),
    ...code.matchAll(/^\s*import\s*["']([^"']+)["']/gm),
    ...code.matchAll(/\bimport\s*\(\s*["']([^"']+)["']/g),
    ...code.matchAll(/\brequire\s*\(\s*["']([^"']+)["']/g),
    ...code.matchAll(/\bnew URL\(\s*["'](\.[^"']+\.ts)["']\s*,\s*import\.meta\.url/g),
  ];
  return found.map((match) => match[1]!);
}

const isRelative = (name: string) => name.startsWith("./") || name.startsWith("../");

/** What tests may name without deps.ts: what only they and the build use. */
export interface Packages {
  readonly development: readonly string[];
}

/** What is wrong with the imports of the file at `path` (from the repository's root, with `/`), one line each. */
export function breaches(path: string, source: string, packages: Packages): readonly string[] {
  if (path === "deps.ts") return [];
  const room = roomOf(path);
  const floor = floorOf(path);
  const found: string[] = [];
  const report = (name: string, why: string) => found.push(`${path}: imports ${name}: ${why}`);
  for (const name of importsOf(source)) {
    if (name.startsWith("node:")) {
      if (room && floor < APPLY) report(name, `the floor ${FLOORS[floor]} is pure, pass in what is needed`);
      continue;
    }
    if (!isRelative(name)) {
      // What users of the npm package write, in its tests.
      if (!room && /^portreeve(\/|$)/.test(name)) continue;
      const tool = /^(?:tests|bench|policies|deploy|package|examples)\//.test(path) || !path.includes("/");
      const allowed = tool &&
        packages.development.some((known) => name === known || name.startsWith(`${known}/`));
      if (!allowed) report(name, "packages are named in deps.ts only");
      continue;
    }
    // Scripts that other programs run are plain JavaScript.
    const endings = room ? /\.(ts|json|wasm)$/ : /\.(ts|[cm]?js|json|wasm)$/;
    if (!endings.test(name)) report(name, "imports name the file with its ending");
    const target = normalize(join(dirname(path), name));
    const targetRoom = roomOf(target);
    if (!room || target === "deps.ts") continue;
    if (!targetRoom) {
      report(name, `the room ${room} imports nothing from outside of the rooms`);
    } else if (targetRoom === room) {
      if (floorOf(target) > floor) report(name, `it lies on a floor above ${FLOORS[floor]}`);
    } else if (
      !ROOMS[room]!.some((allowed) => target.startsWith(`${allowed}/`) || target === `${allowed}.ts`)
    ) {
      report(name, `the room ${room} may not import ${targetRoom}`);
    } else if (Math.min(floorOf(target), APPLY) > floor && floorOf(target) !== ROOF) {
      report(name, `it lies on a floor above ${FLOORS[floor]}`);
    }
  }
  return found;
}
