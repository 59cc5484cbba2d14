/** Repeats what failed for a reason that may pass: a broken connection, 429, or a server's own trouble. */
import { sleep } from "../../program/apply/sleep.ts";
import { ArtifactError, type ArtifactErrorCode, messageOf } from "../types/error.ts";
import type { OnEvent } from "../types/event.ts";
import type { Limits } from "../types/options.ts";
import { log } from "./event.ts";

/** An answer that may be another one later. */
export class PassingError extends ArtifactError {
  /** What the server asked for, milliseconds. */
  readonly retryAfterMs: number;

  constructor(code: ArtifactErrorCode, message: string, retryAfterMs: number) {
    super(code, message);
    this.retryAfterMs = retryAfterMs;
  }
}

export type RetrySettings = {
  readonly limits: Limits;
  readonly signal: AbortSignal | undefined;
  readonly onEvent?: OnEvent | undefined;
  /** Whether a connection that cannot be made, or breaks, is worth another try. */
  readonly retryConnect: boolean;
};

/** What was tried often enough already: a step that repeats parts of itself is not repeated as a whole for them. */
const givenUp = new WeakSet<Error>();

/** Runs `step` until it succeeds, fails for good, or `limits.retries` repetitions are used up. */
export async function retrying<T>(settings: RetrySettings, step: () => Promise<T>): Promise<T> {
  const { limits } = settings;
  for (let attempt = 0;; attempt++) {
    try {
      return await step();
    } catch (error) {
      const passing = error instanceof PassingError;
      const broken = error instanceof ArtifactError && error.code === "connect" && settings.retryConnect;
      if (!(passing || broken) || givenUp.has(error as Error)) throw error;
      if (attempt >= limits.retries) {
        givenUp.add(error as Error);
        throw error;
      }
      const backoff = limits.retryMs * 2 ** attempt * (0.75 + Math.random() / 2);
      const delayMs = Math.round(
        Math.min(limits.retryMaxMs, Math.max(backoff, passing ? error.retryAfterMs : 0)),
      );
      log(settings.onEvent === undefined ? {} : { onEvent: settings.onEvent }, "info", "trying again", {
        error: messageOf(error),
        delay_ms: delayMs,
        attempt: attempt + 1,
      });
      await sleep(delayMs, settings.signal);
      if (settings.signal?.aborted) throw new ArtifactError("aborted", "stopped by the caller");
    }
  }
}
