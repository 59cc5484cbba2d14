/**
 * Gives the packed package a README of its own: the repository's speaks of a checkout, and its links lead nowhere from a registry.
 *
 * usage: package/readme.ts swap      (before packing: puts package/README.md in the place of README.md)
 *        package/readme.ts restore   (after it)
 */
import "../program/check_script.ts";
import { copyFileSync, existsSync, mkdirSync, renameSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const [ours, packed, kept] = ["README.md", "package/README.md", ".cache/README.md"].map(path) as [
  string,
  string,
  string,
];

switch (process.argv[2]) {
  case "swap":
    // It is there already where an earlier packing was cut off.
    mkdirSync(path(".cache"), { recursive: true });
    if (!existsSync(kept)) renameSync(ours, kept);
    copyFileSync(packed, ours);
    break;
  case "restore":
    if (existsSync(kept)) renameSync(kept, ours);
    break;
  default:
    console.error("Error: usage: package/readme.ts swap|restore");
    process.exit(2);
}
