/** Texts of guests are cut as all texts of others are. */
export { boundedText } from "../../program/types/bounded_text.ts";
