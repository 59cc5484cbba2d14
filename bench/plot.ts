/**
 * Draws the results that `npm run bench -- --results FILE` wrote.
 *
 * usage: npm run bench:plot [-- RESULTS SVG]     (default: bench/results/requests.json docs/benchmarks.svg)
 */
import "../program/check_script.ts";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { plot } from "./render/plot.ts";
import { asFile } from "./render/svg.ts";

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const [from = file("results/requests.json"), to = file("../docs/benchmarks.svg")] = process.argv.slice(2);
writeFileSync(to, asFile(plot(JSON.parse(readFileSync(from, "utf8")))));
console.log(to);
