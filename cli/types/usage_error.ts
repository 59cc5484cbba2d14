/** A command line that says what nobody understands: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** Lines below the message, with their indentation. */
  readonly notes: readonly string[];
  /** The usage line of the command that was called. */
  readonly usage: string;

  constructor(message: string, usage: string, notes: readonly string[] = []) {
    super(message);
    this.usage = usage;
    this.notes = notes;
  }
}
