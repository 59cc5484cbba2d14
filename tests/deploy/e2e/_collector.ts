/**
 * A collector that prints the names of the metrics and spans that it is sent, each once.
 *
 * usage: _collector.ts PORT
 */
import process from "node:process";
import { startReceiver } from "../../telemetry/receiver.ts";

const { metrics, spans } = await startReceiver({ port: Number(process.argv[2]), host: "0.0.0.0" });
const printed = new Set<string>();
const print = (line: string) => {
  if (printed.has(line)) return;
  printed.add(line);
  console.log(line);
};
setInterval(() => {
  for (const metric of metrics.splice(0).flat()) print(`metric ${metric.name}`);
  for (const span of spans.splice(0)) print(`span ${span.name}`);
}, 200);
