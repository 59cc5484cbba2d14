/**
 * Go's `fmt.Sprintf` for the four types that OPA hands to it: 64-bit integers, larger integers, doubles and strings.
 *
 * Source: https://pkg.go.dev/fmt (argument indexes, format errors).
 */
import { MAX_TEXT } from "../types/rego_limits.ts";
import { print, type PrintfArgument, State } from "./go_printf_verbs.ts";
import { BoundedText, work, workOn } from "./work.ts";

export type { PrintfArgument } from "./go_printf_verbs.ts";

/** Widths, precisions and indexes beyond this are format errors to Go. */
const MAX_NUMBER = 1_000_000;

type Flag = "sharp" | "zero" | "plus" | "minus" | "space";
const FLAGS: ReadonlyMap<string | undefined, Flag> = new Map<string, Flag>([
  ...[["#", "sharp"], ["0", "zero"], ["+", "plus"], ["-", "minus"], [" ", "space"]] as const,
]);

/** Reads digits; `undefined` when there are none, or too many. */
function readNumber(format: string, at: number): { value: number | undefined; end: number } {
  let end = at;
  let value = 0;
  while (end < format.length && format[end]! >= "0" && format[end]! <= "9") {
    value = value * 10 + Number(format[end]);
    if (value > MAX_NUMBER) return { value: undefined, end: format.length };
    end++;
  }
  return { value: end > at ? value : undefined, end };
}

class Printer {
  readonly #format: string;
  readonly #arguments: readonly PrintfArgument[];
  #at = 0;
  #next = 0;
  #reordered = false;
  #goodIndex = true;
  readonly #result = new BoundedText(MAX_TEXT, "the text");

  constructor(format: string, args: readonly PrintfArgument[]) {
    this.#format = format;
    this.#arguments = args;
  }

  #write(text: string): void {
    this.#result.add(text);
  }

  /** Reads `[n]`, an explicit argument index. Returns whether there was one. */
  #index(): boolean {
    if (this.#format[this.#at] !== "[") return false;
    this.#reordered = true;
    const close = this.#format.indexOf("]", this.#at + 1);
    workOn((close < 0 ? this.#format.length : close) - this.#at);
    if (close < 0) {
      this.#goodIndex = false;
      this.#at++;
      return false;
    }
    const { value, end } = readNumber(this.#format, this.#at + 1);
    this.#at = close + 1;
    if (value === undefined || end !== close) {
      this.#goodIndex = false;
      return false;
    }
    if (value >= 1 && value <= this.#arguments.length) this.#next = value - 1;
    else this.#goodIndex = false;
    return true;
  }

  /** Takes an argument as a width or precision. */
  #star(): number | undefined {
    const argument = this.#arguments[this.#next];
    if (argument === undefined) return undefined;
    this.#next++;
    if (argument.type !== "int64") return undefined;
    const value = Number(argument.value);
    return Math.abs(value) > MAX_NUMBER ? undefined : value;
  }

  #flags(state: State): void {
    for (;; this.#at++) {
      const flag = FLAGS.get(this.#format[this.#at]);
      if (flag === undefined) return;
      state[flag] = true;
    }
  }

  #width(state: State, afterIndex: boolean): boolean {
    if (this.#format[this.#at] === "*") {
      this.#at++;
      state.width = this.#star();
      if (state.width === undefined) this.#write("%!(BADWIDTH)");
      else if (state.width < 0) {
        state.width = -state.width;
        state.minus = true;
        state.zero = false;
      }
      return false;
    }
    const { value, end } = readNumber(this.#format, this.#at);
    this.#at = end;
    state.width = value;
    if (afterIndex && value !== undefined) this.#goodIndex = false;
    return afterIndex;
  }

  #precision(state: State, afterIndex: boolean): boolean {
    if (this.#format[this.#at] !== ".") return afterIndex;
    this.#at++;
    if (afterIndex) this.#goodIndex = false;
    const indexed = this.#index();
    if (this.#format[this.#at] === "*") {
      this.#at++;
      const value = this.#star();
      if (value === undefined || value < 0) this.#write("%!(BADPREC)");
      else state.precision = value;
      return false;
    }
    const { value, end } = readNumber(this.#format, this.#at);
    this.#at = end;
    state.precision = value ?? 0;
    return indexed;
  }

  #verb(): void {
    work(4);
    const state = new State();
    this.#goodIndex = true;
    this.#flags(state);
    let afterIndex = this.#index();
    afterIndex = this.#width(state, afterIndex);
    afterIndex = this.#precision(state, afterIndex);
    if (!afterIndex) this.#index();
    if (this.#at >= this.#format.length) return this.#write("%!(NOVERB)");
    const verb = String.fromCodePoint(this.#format.codePointAt(this.#at)!);
    this.#at += verb.length;
    if (verb === "%") return this.#write("%");
    if (!this.#goodIndex) return this.#write(`%!${verb}(BADINDEX)`);
    const argument = this.#arguments[this.#next];
    if (argument === undefined) return this.#write(`%!${verb}(MISSING)`);
    this.#next++;
    if (verb === "v") {
      state.sharpV = state.sharp;
      state.sharp = false;
      state.plusV = state.plus;
      state.plus = false;
    }
    this.#write(print(argument, verb, state));
  }

  run(): string {
    while (this.#at < this.#format.length) {
      let percent = this.#format.indexOf("%", this.#at);
      if (percent < 0) percent = this.#format.length;
      this.#write(this.#format.slice(this.#at, percent));
      if (percent === this.#format.length) break;
      this.#at = percent + 1;
      this.#verb();
    }
    if (!this.#reordered && this.#next < this.#arguments.length) {
      this.#write("%!(EXTRA ");
      for (let at = this.#next; at < this.#arguments.length; at++) {
        const argument = this.#arguments[at]!;
        if (at > this.#next) this.#write(", ");
        this.#write(`${argument.type}=`);
        this.#write(print(argument, "v", new State()));
      }
      this.#write(")");
    }
    return this.#result.toString();
  }
}

/** Formats as `fmt.Sprintf`. Throws BuiltinHalt when the text becomes too long. */
export function sprintf(format: string, args: readonly PrintfArgument[]): string {
  return new Printer(format, args).run();
}
