/** A listener that could not be opened. */

/** What a listener was to be: for errors, so that their reader knows which one, where, and how to choose another address. */
export interface Listening {
  /** What it answers: `admission requests`. */
  readonly what: string;
  /** Undefined: every address of the machine. */
  readonly host: string | undefined;
  readonly port: number;
  /** How another port is chosen: `--port (variable KUBEWARDEN_PORT)`. */
  readonly portOption: string;
  /** How another address is chosen, where it can be. */
  readonly hostOption?: string | undefined;
}

/** `message` says where, why and what to do; `cause` is the system's error. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly listening: Listening;
  /** Whether another program has the port. */
  readonly taken: boolean;
  constructor(message: string, listening: Listening, cause: unknown) {
    super(message, { cause });
    this.listening = listening;
    this.taken = (cause as { readonly code?: unknown } | null)?.code === "EADDRINUSE";
  }
}
