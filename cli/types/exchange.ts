/** What a policy asked its host, and what it was told (`spec/cli.md §8`). */

/** What a policy asked: the original's name for it, and its fields. */
export interface ExchangeRequest {
  readonly variant: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export type ExchangeResponse =
  | { readonly type: "Success"; readonly payload: string }
  | { readonly type: "Error"; readonly message: string };

export interface Exchange {
  readonly request: ExchangeRequest;
  /** The request as it is written in the session file that it was read from. */
  readonly source?: string;
  readonly response: ExchangeResponse;
}
