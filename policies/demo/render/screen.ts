/** The first screen: what runs, where, what to try, how to stop, what next. */
import { shellWord } from "../../../program/render/shell_word.ts";
import type { Answered, Moved } from "../types/demo.ts";
import { answerWords } from "./answer_words.ts";

/** What the screen tells. */
export interface ScreenFacts {
  readonly version: string;
  /** `https://127.0.0.1:8443`. */
  readonly url: string;
  /** `http://127.0.0.1:8081`. */
  readonly readinessUrl: string;
  readonly policies: readonly string[];
  readonly moved: readonly Moved[];
  /** The whole path of the certificate to trust; undefined: plain HTTP, or a certificate of the user's. */
  readonly caFile: string | undefined;
  readonly answers: readonly Answered[];
  /** Where nothing was asked: the file of a request that the user may have. */
  readonly asking: string | undefined;
  readonly windows: boolean;
  /** Whether curl would send the requests to a proxy. */
  readonly proxied: boolean;
  /** How to stop it. */
  readonly stop: string;
  /** Where to read on. */
  readonly next: string;
}

function command(
  { caFile, windows, proxied }: ScreenFacts,
  { file, url }: Pick<Answered, "file" | "url">,
): string {
  const word = (text: string) => shellWord(text, windows);
  const trust = `${proxied ? ' --noproxy "*"' : ""}${
    caFile === undefined ? "" : ` --cacert ${word(caFile)}`
  }`;
  const next = windows ? " " : " \\\n    ";
  // In PowerShell `curl` alone is another program.
  const curl = windows ? "curl.exe" : "curl";
  return `  ${curl} -s${trust} -H "Content-Type: application/json"${next}-d ${word(`@${file}`)} ${word(url)}`;
}

/** The screen's text, without styles; it ends with a line break. */
export function screen(facts: ScreenFacts): string {
  const { version, url, readinessUrl, policies, moved, answers, stop, next } = facts;
  const noted = moved.map(({ from, to }) => `Another program has port ${from}, so this one took ${to}.\n`);
  const tried = answers.map((answer) =>
    `\nTry ${answer.sample.words}:\n${command(facts, answer)}\nIt is ${answerWords(answer.body)}\n`
  );
  const [first] = policies;
  const asked = facts.asking === undefined || first === undefined
    ? ""
    : `\nAsk it:\n${command(facts, { file: facts.asking, url: `${url}/validate/${first}` })}\n`;
  const rows = [
    ["Metrics", `${readinessUrl}/metrics`],
    ["Stop", stop],
    ["Next", next],
  ].map(([name, value]) => `${name!.padEnd(9)}${value}\n`);
  const many = policies.length === 1 ? "the policy" : `${policies.length} policies`;
  const few = policies.length <= 10 ? policies : [...policies.slice(0, 10), "…"];
  return [
    `Portreeve ${version} serves ${many} ${few.join(", ")} on ${url}\n`,
    ...noted,
    ...tried,
    asked,
    "\n",
    ...rows,
  ].join("");
}
