/** Results of suites, for people and for machines. */
import { joined, oneLine, styled, text } from "../../program/render/terminal_text.ts";
import type { Text } from "../../program/types/text.ts";
import type { CaseResult } from "../types/suite.ts";

/** A line a case, faults below it, and a closing line. */
export function resultsText(results: readonly CaseResult[]): Text {
  const lines: Text[] = [];
  let suite: string | undefined;
  for (const result of results) {
    if (result.suite !== suite) {
      if (suite !== undefined) lines.push("");
      lines.push(styled("1", oneLine(result.suite)));
    }
    suite = result.suite;
    const passed = result.faults.length === 0;
    const time = styled("2", `${result.milliseconds.toFixed(1)} ms`);
    lines.push(
      text`  ${styled(passed ? "32" : "31", passed ? "PASS" : "FAIL")}  ${oneLine(result.name)}  ${time}`,
    );
    for (const fault of result.faults) lines.push(`        ${fault.replaceAll("\n", "\n        ")}`);
  }
  const failed = results.filter(({ faults }) => faults.length > 0).length;
  const summary = `${results.length - failed} passed, ${failed} failed`;
  return text`${joined([...lines, "", styled(failed > 0 ? "1;31" : "1;32", summary)], "\n")}\n`;
}

// Characters that XML has no way to say become a question mark.
const escaped = (text: string) =>
  // deno-lint-ignore no-control-regex
  text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "?").replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** JUnit's XML, as continuous integration reads it. */
export function junitText(results: readonly CaseResult[]): string {
  const suites = [...new Set(results.map(({ suite }) => suite))];
  const seconds = (list: readonly CaseResult[]) =>
    (list.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000).toFixed(3);
  const failures = (list: readonly CaseResult[]) => list.filter(({ faults }) => faults.length > 0).length;
  const text = suites.map((suite) => {
    const own = results.filter((result) => result.suite === suite);
    const cases = own.map(({ name, faults, milliseconds }) => {
      const head = `    <testcase classname="${escaped(suite)}" name="${escaped(name)}" time="${
        (milliseconds / 1000).toFixed(3)
      }"`;
      if (faults.length === 0) return `${head}/>`;
      return `${head}>\n      <failure message="${escaped(faults[0]!)}">${
        escaped(faults.join("\n"))
      }</failure>\n    </testcase>`;
    });
    return `  <testsuite name="${escaped(suite)}" tests="${own.length}" failures="${failures(own)}" time="${
      seconds(own)
    }">\n${cases.join("\n")}\n  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites tests="${results.length}" failures="${
    failures(results)
  }" time="${seconds(results)}">\n${text.join("\n")}\n</testsuites>\n`;
}
