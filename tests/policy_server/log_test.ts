// spec/policy-server.md §14.
import { execFileSync } from "node:child_process";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createLog, type LogSettings } from "../../policy_server/apply/log.ts";
import {
  escapeControls,
  jsonLine,
  type LogEvent,
  textLine,
  timestampText,
} from "../../policy_server/render/log_line.ts";

const EVENT: LogEvent = {
  timestamp: "2026-01-02T03:04:05.678901Z",
  level: "info",
  target: "policy_server::certs",
  message: "Loaded client CA certificates",
  fields: { client_ca_certs_added: 2, client_ca_certs_ignored: 0 },
};
const SPANNED: LogEvent = {
  ...EVENT,
  level: "error",
  target: "policy_log",
  message: "m",
  fields: { text: 'a "b"\\', yes: true, big: 18446744073709551615n, none: undefined, nil: null },
  span: { name: "validation", fields: { policy_id: "psp" }, parent: { name: "request", fields: {} } },
};

test("text lines", () => {
  assert.is(
    textLine(EVENT),
    "2026-01-02T03:04:05.678901Z  INFO policy_server::certs: Loaded client CA certificates " +
      "client_ca_certs_added=2 client_ca_certs_ignored=0",
  );
  assert.is(
    textLine(SPANNED),
    '2026-01-02T03:04:05.678901Z ERROR request:validation{policy_id="psp"}: policy_log: m ' +
      'text="a \\"b\\"\\\\" yes=true big=18446744073709551615 nil=null',
  );
  for (const [level, shown] of [["trace", "TRACE"], ["debug", "DEBUG"], ["warn", " WARN"]] as const) {
    assert.ok(textLine({ ...EVENT, level }).startsWith(`2026-01-02T03:04:05.678901Z ${shown} policy`));
  }
});

test("JSON lines", () => {
  assert.equal(JSON.parse(jsonLine(EVENT)), {
    timestamp: "2026-01-02T03:04:05.678901Z",
    level: "INFO",
    fields: {
      message: "Loaded client CA certificates",
      client_ca_certs_added: 2,
      client_ca_certs_ignored: 0,
    },
    target: "policy_server::certs",
  });
  const spanned = jsonLine(SPANNED);
  assert.match(spanned, '"big":18446744073709551615');
  const parsed = JSON.parse(spanned);
  assert.equal(parsed.span, { name: "validation", policy_id: "psp" });
  assert.equal(parsed.spans, [{ name: "request" }, { name: "validation", policy_id: "psp" }]);
  assert.is(JSON.parse(jsonLine({ ...EVENT, fields: { ratio: NaN } })).fields.ratio, null);
});

const FORGERY =
  "ok\n2026-01-02T03:04:05.678901Z  INFO policy_server: forged\r\u001b[2K\u0085\u2028\u202e\u0000";

test("no part of an event can break or disguise the line", () => {
  const hostile: LogEvent = {
    ...EVENT,
    target: FORGERY,
    message: FORGERY,
    fields: { [FORGERY]: FORGERY },
    span: { name: FORGERY, fields: { [FORGERY]: FORGERY } },
  };
  for (const line of [textLine(hostile), jsonLine(hostile)]) {
    // deno-lint-ignore no-control-regex
    assert.not(/[\u0000-\u001f]/.test(line), line);
  }
  assert.not(/[\u007f-\u009f\u2028\u202e]/.test(textLine(hostile)));
  assert.is(JSON.parse(jsonLine(hostile)).fields.message, FORGERY);
  assert.is(escapeControls("a\tb\r\n\u001b\u202e é 😀"), "a\\tb\\r\\n\\u{1b}\\u{202e} é 😀");
});

test("timestamps have microseconds", () => {
  assert.is(timestampText(0), "1970-01-01T00:00:00.000000Z");
  assert.is(timestampText(Date.UTC(2026, 0, 2, 3, 4, 5, 678) * 1000 + 9.5), "2026-01-02T03:04:05.678009Z");
});

function recorded(settings: Partial<LogSettings> = {}) {
  const writes: string[] = [];
  const log = createLog({
    level: "info",
    format: "text",
    clock: () => 0,
    output: (text) => (writes.push(text), 0),
    ...settings,
  });
  return { log, writes };
}

test("events of one turn are one write, in order", async () => {
  const { log, writes } = recorded();
  log.info("one");
  log.error("two", { n: 2 }, { target: "t" });
  assert.equal(writes, []);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(writes, [
    "1970-01-01T00:00:00.000000Z  INFO policy_server: one\n1970-01-01T00:00:00.000000Z ERROR t: two n=2\n",
  ]);
});

test("the level filters; what is below it is not rendered", () => {
  const { log, writes } = recorded({ level: "warn", format: "json" });
  const trap = {
    get costly(): string {
      throw new Error("rendered");
    },
  };
  for (const level of ["trace", "debug", "info"] as const) {
    assert.is(log.enabled(level), false);
    log[level]("no", trap);
  }
  for (const level of ["warn", "error"] as const) {
    assert.is(log.enabled(level), true);
    log[level]("yes");
  }
  log.flush();
  assert.equal(writes.join("").trimEnd().split("\n").map((line) => JSON.parse(line).level), [
    "WARN",
    "ERROR",
  ]);
});

test("a large batch does not wait for the end of the turn", () => {
  const { log, writes } = recorded();
  for (let i = 0; i < 100; i++) log.info("x".repeat(1000));
  assert.is(writes.length, 1);
});

test("with an output that is not read, events are dropped, counted, and the log goes on afterwards", () => {
  let held = 0;
  const { log, writes } = recorded({ output: (text) => (text === "" || writes.push(text), held) });
  held = 17 * 1024 * 1024;
  log.info("last");
  log.flush();
  for (let i = 0; i < 1000; i++) log.info("lost");
  held = 0;
  log.info("back");
  log.flush();
  assert.not.match(writes.join(""), "lost");
  assert.match(
    writes.join(""),
    "WARN policy_server: log events were dropped because standard output is not read dropped=1000",
  );
  assert.match(writes.join(""), "INFO policy_server: back");
});

test("a process that ends at once still writes everything to standard output", () => {
  const script = `
    const { createLog } = await import(${
    JSON.stringify(import.meta.resolve("../../policy_server/apply/log.ts"))
  });
    const log = createLog({ level: "info", format: "text" });
    for (let i = 0; i < 3000; i++) log.info("line " + i);
    log.warn("end");
    process.exit(0);`;
  const flags = "bun" in process.versions ? ["-e"] : ["--input-type=module", "-e"];
  const lines = execFileSync(process.execPath, [...flags, script], { encoding: "utf8" }).trimEnd().split(
    "\n",
  );
  assert.is(lines.length, 3001);
  assert.match(lines.at(-1) ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z {2}WARN policy_server: end$/);
});

test.run();
