// Pages are true: those that are generated are as their source has them, links lead somewhere, and the map names every page.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { docsMarkdown } from "../../policy_server/render/usage.ts";
import { compatibilityPage } from "./compatibility.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");

const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "bench/README.md",
  "policies/README.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".md")).map((path) => join("docs", path)).sort(),
];
/** Chapters of the specification are in the map of their own folder. */
const isChapter = (page: string) => page.startsWith("docs/spec/") && page !== "docs/spec/README.md";

/** Text without what stands in blocks and spans of code. */
const prose = (markdown: string) => markdown.replace(/^(`{3,})[^]*?^\1$/gm, "").replace(/`[^`\n]*`/g, "x");

/** The anchors of a page's headings, as GitHub makes them. */
const anchors = (markdown: string) =>
  [...markdown.replace(/^(`{3,})[^]*?^\1$/gm, "").matchAll(/^#+ (.*)$/gm)].map((match) =>
    match[1]!.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  );

test("every link leads to a file, and to a heading of it", () => {
  const broken: string[] = [];
  for (const page of PAGES) {
    for (const [, target] of prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      const [path, anchor] = target!.split("#", 2) as [string, string?];
      const file = path === "" ? join(root, page) : join(root, dirname(page), path);
      if (!existsSync(file)) broken.push(`${page}: ${target}`);
      else if (anchor && file.endsWith(".md") && !anchors(readFileSync(file, "utf8")).includes(anchor)) {
        broken.push(`${page}: ${target} is no heading`);
      }
    }
  }
  assert.equal(broken, []);
});

test("docs/README.md names every page, docs/spec/README.md every chapter", () => {
  const map = read("docs/README.md");
  const missing = PAGES.filter((page) =>
    page.startsWith("docs/") && page !== "docs/README.md" && !isChapter(page)
  )
    .map((page) => relative("docs", page)).filter((page) => !map.includes(`(${page}`));
  assert.equal(missing, []);
  const chapters = read("docs/spec/README.md");
  assert.equal(PAGES.filter((page) => isChapter(page) && !chapters.includes(`(${page.slice(10)})`)), []);
});

test("compatibility.md and policy_server_flags.md are what lists and programs say: write them anew with `npm run build:docs`", () => {
  // The formatter breaks lines and widens tables.
  const words = (text: string) => text.replace(/[-|\s]+/g, " ").trim();
  assert.is(words(read("docs/compatibility.md")), words(compatibilityPage()));
  assert.is(words(read("docs/policy_server_flags.md")), words(docsMarkdown()));
});

test("README.md fits two screens, and its commands are npm's", () => {
  const readme = read("README.md");
  assert.ok(readme.split("\n").length <= 100, `${readme.split("\n").length} lines`);
  const { scripts } = JSON.parse(read("package.json"));
  for (const page of PAGES) {
    for (const [, name] of read(page).matchAll(/\bnpm run ([\w:-]+)/g)) {
      assert.ok(Object.hasOwn(scripts, name!), `${page}: npm run ${name}`);
    }
  }
});

test.run();
