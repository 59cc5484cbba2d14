#!/usr/bin/env node
/** `reeve`, and `kwctl` for scripts that call it by that name. See `program.ts`. */
import { startProgram } from "../program/apply/start_program.ts";

startProgram("reeve", () => import("./program.ts"));
