/** The audit scanner. See `program.ts`. */
import { startProgram } from "../program/apply/start_program.ts";

startProgram("audit", () => import("./program.ts"));
