/** Loads a part of the library that only some need. */
import { PolicyError } from "../types/policy_error.ts";

/** The part, or one error that says what to do: a bundler or a copy may have left its file behind. */
export async function loadPart<T>(part: Promise<T>): Promise<T> {
  try {
    return await part;
  } catch (error) {
    const reason = (error as Error).message.split("\n")[0]!.slice(0, 300);
    throw new PolicyError(
      "missing_part",
      `a part of portreeve cannot be loaded (${reason}): install portreeve anew, or have the bundler keep the files that it ` +
        "splits off beside the program",
      { cause: error },
    );
  }
}
