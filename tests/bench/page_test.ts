/** The page that `npm run bench -- --html` writes, in Chromium: complete in itself, with every figure as a point or a bar. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { reportPage } from "../../bench/render/page.ts";
import { summarize } from "../../bench/render/summary.ts";
import type { Run } from "../../bench/types/run.ts";
import { type BrowserEvent, evaluateIn, GET_BROWSER, inBrowser } from "../browser.ts";
import { once, run } from "./_command.ts";
import { COLD_START_ROW, sample } from "./_sample.ts";

/** What a page shows. */
interface Shown {
  /** Of each plot: its name, and how many points, bars and curves it has. */
  readonly plots: readonly {
    readonly name: string;
    readonly points: number;
    readonly bars: number;
    readonly curves: number;
  }[];
  readonly legend: readonly string[];
  readonly text: string;
  /** How many points, bars and texts reach beyond their plot. */
  readonly outside: number;
  readonly colours: readonly [background: string, text: string];
}

const LOOK = `new Promise((resolve) => {
  const look = () => {
    if (document.readyState !== "complete") return requestAnimationFrame(look);
    const plots = [...document.querySelectorAll("svg")];
    const count = (svg, selector) => svg.querySelectorAll(selector).length;
    const outside = plots.flatMap((svg) => {
      const frame = svg.getBoundingClientRect();
      return [...svg.querySelectorAll(".point, .bar, text")].filter((mark) => {
        const box = mark.getBoundingClientRect();
        return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
      });
    });
    resolve(JSON.stringify({
      plots: plots.map((svg) => ({
        name: svg.getAttribute("aria-label"),
        points: count(svg, ".point"), bars: count(svg, ".bar"), curves: count(svg, ".curve"),
      })),
      legend: [...new Set([...document.querySelectorAll(".legend")].map(({ textContent }) => textContent))],
      text: document.body.textContent,
      outside: outside.length,
      colours: [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color],
    }));
  };
  look();
})`;

/** What a page shows, what it complained of, and what it asked the network for besides itself. */
async function open(file: string): Promise<{ shown: Shown; complaints: string[]; requests: string[] }> {
  const page = pathToFileURL(file).href;
  const events: BrowserEvent[] = [];
  const [shown] = await inBrowser(
    "about:blank",
    (printed) => evaluateIn(page, printed, [LOOK], (event) => void events.push(event)),
  );
  const of = (method: string) =>
    events.filter((event) => event.method === method).map(({ params }) => params);
  const asked = of("Network.requestWillBeSent").map(({ request }) => (request as { url: string }).url);
  assert.ok(asked.includes(page), "the browser tells what it loads");
  return {
    shown: JSON.parse(String(shown)) as Shown,
    complaints: [...of("Runtime.exceptionThrown"), ...of("Runtime.consoleAPICalled"), ...of("Log.entryAdded")]
      .map((params) => JSON.stringify(params)),
    requests: asked.filter((url) => url !== page && !url.startsWith("data:")),
  };
}

const URL = `https://server-with-a-long-name.example.com:3000/${"path/".repeat(10)}?<"a">&b`;
const SUBJECTS = ["floor-node", "node", "floor-bun", "floor-bun-serve", "bun", URL];
const CONNECTIONS = [1, 8, 32];

/** A run of all subjects with one round, whose figures spread over several magnitudes. */
function exampleRun(policies: readonly string[]): Run {
  const samples = policies.flatMap((policy) =>
    CONNECTIONS.flatMap((connections) =>
      SUBJECTS.map((subject, index) =>
        sample(subject, 1, 1000 * (index + 1) * connections, {
          ...{ policy, connections, p50Ms: 0.03 * (index + 1), p999Ms: 40 * (index + 1) },
        })
      )
    )
  );
  return {
    date: "2026-01-02T03:04:05.000Z",
    machine: { processor: "Model <5> & more", processors: 4, memoryGb: 16.4, kernel: "Linux 6.1" },
    versions: { node: "24.0.0", bun: "1.4.0", generator: "wrk 4.1", commit: "abc1234" },
    surroundings: { loadBefore: 0.1, floors: [1, 1], othersShare: 0 },
    program: "dist/policy_server.js",
    rounds: 1,
    seconds: 5,
    rows: summarize(samples),
  };
}

/** Writes a file, uses it, and takes it away. */
async function withFile<T>(content: string, use: (file: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-bench-test-"));
  try {
    const file = join(folder, "page.html");
    writeFileSync(file, content);
    return await use(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

once("every figure of the rows is drawn, and the page asks for nothing", async () => {
  const page = reportPage({
    run: exampleRun(["pod-privileged", "opa"]),
    sentences: ["Bun serves <b>more</b>."],
    goals: "goal  held",
    coldStart: [COLD_START_ROW, { ...COLD_START_ROW, runtime: "bun", answeredRssMb: null }, {
      ...COLD_START_ROW,
      kind: "padding",
    }],
  });
  const { shown, complaints, requests } = await withFile(page, open);
  assert.equal(complaints, []);
  assert.equal(requests, []);
  assert.is(shown.outside, 0);
  assert.equal(shown.colours, ["rgb(255, 255, 255)", "rgb(31, 35, 40)"]);
  const curves = (name: string, points: number) => ({ name, points, bars: 0, curves: SUBJECTS.length });
  const bars = (name: string, count: number) => ({ name, points: 0, bars: count, curves: 0 });
  assert.equal(shown.plots, [
    ...["pod-privileged", "opa"].flatMap((policy) => [
      curves(`${policy}: requests a second`, SUBJECTS.length * CONNECTIONS.length),
      ...["1 connection", "8 connections", "32 connections"].map((load) =>
        curves(`${policy}, ${load}: latency in ms`, SUBJECTS.length * 4)
      ),
    ]),
    bars("Processor time of a request", 2 * SUBJECTS.length),
    bars("Resident memory under load", SUBJECTS.length),
    bars("Start until ready", 3),
    bars("Processor time of the start", 3),
    bars("Resident memory when ready", 3),
    bars("Resident memory when every module has answered", 2),
  ]);
  assert.equal(shown.legend.map((name) => name.replace(/^(https:.{20}).*…$/, "$1")), [
    "bare node:https",
    "policy server, Node",
    "bare node:https on Bun",
    "bare Bun.serve",
    "policy server, Bun",
    // Whole where there is room, cut in narrow plots.
    URL,
    URL.slice(0, 26),
  ]);
  for (
    const text of [
      "2026-01-02T03:04:05.000Z",
      "4 x Model <5> & more, 16.4 GB of memory, Linux 6.1",
      "Node 24.0.0, Bun 1.4.0",
      "dist/policy_server.js of commit abc1234",
      "wrk 4.1, 1 rounds of 5 s each",
      "Bun serves <b>more</b>.",
      "kept-alive connections",
      "percentile of the requests",
      "p99.9",
      "900 ms",
      "150 MB",
      "goal  held",
    ]
  ) assert.match(shown.text, text);
}, GET_BROWSER);

once("what a page complains of or loads would be seen", async () => {
  const page = "<!doctype html><body><script>console.error('wrong')</script><script>missing()</script>" +
    '<img src="http://127.0.0.1:9/x.png"></body>';
  const { complaints, requests } = await withFile(page, open);
  for (const text of ["wrong", "missing is not defined"]) {
    assert.ok(complaints.some((complaint) => complaint.includes(text)), text);
  }
  assert.equal(requests, ["http://127.0.0.1:9/x.png"]);
}, GET_BROWSER);

test("rows without what can't be measured everywhere make a page without these plots", () => {
  const rows = summarize([
    sample("node", 1, 0, { rssMb: null, processorMs: null, p50Ms: 0, p90Ms: 0, p99Ms: 0, p999Ms: 0 }),
  ]);
  const page = reportPage({
    run: { ...exampleRun([]), rows },
    sentences: [],
    goals: undefined,
    coldStart: [],
  });
  assert.is(page.match(/<svg /g)!.length, 2);
  assert.not.match(page, /NaN|Infinity|undefined|null/);
  assert.not.match(page, /https?:|url\(|<script|@import/);
});

/** What the command wrote, for the test after it. */
let written: string | undefined;

once("the command writes a page, the run and the rows; with workers 1 and 2", async () => {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-bench-test-"));
  const file = (name: string) => join(folder, name);
  try {
    writeFileSync(file("cold.json"), JSON.stringify([COLD_START_ROW]));
    const { code, output } = await run([
      ...["bench/main.ts", "--program", "policy_server/main.ts", "--generator", "autocannon"],
      ...["--subjects", "floor-node,node,floor-bun-serve,bun", "--workers", "1,2"],
      ...["--connections", "1,4", "--duration", "1", "--rounds", "1"],
      ...["--html", file("page.html"), "--with", file("cold.json")],
      ...["--results", file("run.json"), "--json", file("rows.json")],
    ]);
    assert.is(code, 0, output);
    const saved = JSON.parse(readFileSync(file("run.json"), "utf8")) as Run;
    const subjects = [["floor-node", null], ["node", 1], ["node", 2], ["floor-bun-serve", null], ["bun", 1], [
      "bun",
      2,
    ]];
    assert.equal(
      saved.rows.map(({ connections, subject, workers }) => [connections, subject, workers]),
      [1, 4].flatMap((connections) => subjects.map((subject) => [connections, ...subject])),
    );
    assert.equal(JSON.parse(readFileSync(file("rows.json"), "utf8")), saved.rows);
    assert.is(saved.program, "policy_server/main.ts");
    assert.match(saved.date, /^\d{4}-\d\d-\d\dT/);
    assert.match(saved.versions.generator!, /^autocannon \d/);
    assert.ok(saved.machine.processors > 0 && saved.machine.processor !== "" && saved.machine.kernel !== "");
    assert.ok(saved.surroundings.floors!.every((perSecond) => perSecond > 0));
    assert.match(
      output,
      /^pod-privileged: (Bun|Node) with 1 worker serves .* one round can't tell this from noise/m,
    );
    for (const runtime of ["Node", "Bun"]) {
      assert.match(
        output,
        new RegExp(`^pod-privileged: ${runtime}: CPU per request at 4 connections (stays|is not) flat`, "m"),
      );
    }
    assert.match(output, /^the machine was (busy|idle) \(floors differ by \d+%, load /m);
    assert.is(/^the machine was busy/m.test(output), /not judged$/m.test(output));
    written = readFileSync(file("page.html"), "utf8");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

once("the page of a real run, in Chromium", async () => {
  const { shown, complaints, requests } = await withFile(written!, open);
  assert.equal([complaints, requests, shown.outside], [[], [], 0]);
  assert.equal(shown.plots.map(({ points, bars }) => points + bars), [12, 24, 24, 6, 6, 1, 1, 1, 1]);
  assert.ok(shown.legend.includes("policy server, Node, 2 workers"));
  assert.match(shown.text, /the machine was (busy|idle) \(floors/);
}, GET_BROWSER);

test.run();
