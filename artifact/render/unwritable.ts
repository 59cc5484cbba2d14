/** What is said of a folder that can't be written to. */
import { osErrorText } from "../../program/render/os_error.ts";

/** One line that names the folder, why it can't be written to and `instead`, what its user may choose. */
export function unwritable(folder: string, cause: unknown, instead: string): string {
  return `cannot write to ${folder}: ${
    osErrorText(cause)
  }; let this user write there, or choose another folder with ${instead}`;
}
