/** The policy server. See `program.ts`. */
import { startProgram } from "../program/apply/start_program.ts";

startProgram("policy-server", () => import("./program.ts"), true);
