/** The controller. See `program.ts`. */
import { startProgram } from "../program/apply/start_program.ts";

startProgram("controller", () => import("./program.ts"), true);
