/**
 * What npm runs before its scripts: a Node that can't read TypeScript never comes to the check of the sources
 * (`render/runtime.ts`). Read by any Node.
 */
"use strict";
var engines = require("../package.json").engines;
var wanted = engines.node.replace(">=", "");
if (!process.versions.bun && parseInt(process.versions.node, 10) < Number(wanted)) {
  console.error(
    "Error: portreeve needs Node " + wanted +
      " or later (https://nodejs.org/en/download), and this is Node " +
      process.versions.node,
  );
  process.exit(1);
}
