// See attack_isolation.ts.
import { test } from "uvu";
import { testAttacks } from "./attack_isolation.ts";

testAttacks("guests");

test.run();
