/** Stands in for `evaluator/apply/confine.ts` where a test has to show what happens without it. */

export function withoutCodeGeneration(): void {}

export function confineThread(): void {}
