/** The page that `--open` shows: the requests that were made of this server, and its answers. */
import type { Answered } from "../types/demo.ts";
import { answerWords } from "./answer_words.ts";

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ['"', "&quot;"],
]);

const html = (text: string) => text.replace(/[&<>"]/g, (character) => ENTITIES.get(character)!);

const pretty = (json: string) => html(JSON.stringify(JSON.parse(json), null, 2));

/** A whole page; it loads nothing and runs no script. `requests` are the bodies that were sent, in the order of `answers`. */
export function answersPage(url: string, answers: readonly Answered[], requests: readonly string[]): string {
  const sections = answers.map((answer, index) =>
    `<section>
<h2>${html(answer.sample.words)}</h2>
<p>The policy <code>${html(answer.sample.policy)}</code> says: <strong>${
      html(answerWords(answer.body))
    }</strong></p>
<details><summary>The answer of <code>${html(answer.url)}</code></summary><pre>${
      pretty(answer.body)
    }</pre></details>
<details><summary>The request</summary><pre>${pretty(requests[index]!)}</pre></details>
</section>`
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Portreeve: two requests and their answers</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
pre { background: #8881; padding: 1rem; overflow: auto; }
</style>
<h1>Two requests and their answers</h1>
<p>Asked of the policy server on <code>${html(url)}</code> when it started.</p>
${sections.join("\n")}
</html>
`;
}
