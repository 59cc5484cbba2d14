// The first screen where it can't be recorded: on Windows, whose two shells both take its commands.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { screen } from "../../policies/demo/render/screen.ts";
import { SAMPLES } from "../../policies/demo/types/demo.ts";

const body = JSON.stringify({ response: { uid: "1", allowed: true } });

test("on Windows a command is one line of the real curl, with quotes where a path or PowerShell wants them", () => {
  const url = "https://127.0.0.1:8443";
  const shown = (folder: string) =>
    screen({
      version: "1.2.3",
      url,
      readinessUrl: "http://127.0.0.1:8081",
      policies: ["a"],
      moved: [],
      caFile: `${folder}\\tls.crt`,
      answers: [{ sample: SAMPLES[0]!, file: `${folder}\\pod.json`, url: `${url}/validate/a`, body }],
      asking: undefined,
      windows: true,
      proxied: false,
      stop: "Ctrl-C",
      next: "--help",
    }).split("\n").find((line) => line.includes("curl"));
  const rest = '-H "Content-Type: application/json" -d';
  assert.is(
    shown("C:\\Temp"),
    `  curl.exe -s --cacert C:\\Temp\\tls.crt ${rest} "@C:\\Temp\\pod.json" ${url}/validate/a`,
  );
  assert.is(
    shown("C:\\A B"),
    `  curl.exe -s --cacert "C:\\A B\\tls.crt" ${rest} "@C:\\A B\\pod.json" ${url}/validate/a`,
  );
});

test.run();
