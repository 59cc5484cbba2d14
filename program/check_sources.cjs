/**
 * What npm runs before its scripts: a Node that can't read TypeScript never comes to the check of the sources
 * (`render/runtime.ts`), and without packages no script says what is missing. Read by any Node.
 */
"use strict";
// First: a Node that is new enough is one of them.
if (!require("fs").existsSync(require("path").join(__dirname, "../node_modules"))) {
  console.error("Error: the packages that this checkout needs are not installed: run npm ci");
  process.exit(1);
}
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
