#!/usr/bin/env node
/** `portreeve`: sample policies for a first look. See `program.ts`. */
import { startProgram } from "../../program/apply/start_program.ts";

startProgram("portreeve", () => import("./program.ts"));
