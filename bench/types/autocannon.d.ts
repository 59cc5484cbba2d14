/** What is used of autocannon, which brings no types. */
declare module "autocannon" {
  type Options = {
    readonly url: string;
    readonly connections: number;
    /** Seconds. */
    readonly duration: number;
    readonly method: "POST";
    readonly headers: Readonly<Record<string, string>>;
    readonly body: Uint8Array;
    readonly verifyBody: (body: string) => boolean;
    readonly tlsOptions: { readonly rejectUnauthorized: boolean };
  };
  type Result = {
    /** Seconds. */
    readonly duration: number;
    /** Failed connections and timeouts. */
    readonly errors: number;
    readonly mismatches: number;
    readonly non2xx: number;
  };
  type Run = PromiseLike<Result> & {
    on(
      event: "response",
      listener: (client: unknown, status: number, bytes: number, milliseconds: number) => void,
    ): void;
  };
  export default function autocannon(options: Options): Run;
}
