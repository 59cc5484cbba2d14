/** A progress bar on a terminal that leaves room for log lines. */
import { terminalText } from "../../program/render/terminal_text.ts";
import { CLEAR_LINE } from "../../program/types/text.ts";
import { type PhaseView, progressLine } from "../render/progress.ts";
import type { Progress } from "../types/progress.ts";

/** A terminal to draw on. */
export type Terminal = { readonly columns?: number; write(text: string): unknown };

export type Screen = {
  readonly progress: Progress;
  /** Prints something that stays, above the bar. */
  print(write: () => void): void;
  /** Takes the bar away. */
  end(): void;
};

/** Faster than this nobody can see. */
const DRAW_MS = 80;
const CLEAR = terminalText(CLEAR_LINE, { colour: false });

/** No terminal: nothing is drawn. */
export const NO_SCREEN: Screen = {
  progress: { begin: () => ({ expect() {}, done() {}, end() {} }) },
  print: (write) => write(),
  end() {},
};

/** A screen on a terminal; `now` is in milliseconds. */
export function openScreen(terminal: Terminal, now: () => number): Screen {
  /** The phases that are going on; the one that began last is shown. */
  const phases: PhaseView[] = [];
  let began = 0;
  let drawnAt = -Infinity;
  let drawn = false;
  const clear = () => {
    if (drawn) terminal.write(CLEAR);
    drawn = false;
  };
  const draw = (force: boolean) => {
    const view = phases.at(-1);
    if (view === undefined || !force && now() - drawnAt < DRAW_MS) return;
    terminal.write(CLEAR + progressLine(view, terminal.columns ?? 80));
    drawnAt = now();
    drawn = true;
  };
  return {
    progress: {
      begin(namespace, of) {
        if (namespace !== undefined) began++;
        const view = { namespace, done: 0, expected: 0, number: began, of };
        phases.push(view);
        return {
          expect(count) {
            view.expected += count;
            draw(false);
          },
          done() {
            view.done++;
            draw(false);
          },
          end() {
            draw(true);
            phases.splice(phases.indexOf(view), 1);
          },
        };
      },
    },
    print(write) {
      clear();
      write();
      draw(true);
    },
    end: clear,
  };
}
