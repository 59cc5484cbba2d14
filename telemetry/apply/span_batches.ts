/**
 * Gathers ended spans and sends them in batches. What waits is bounded in number and in size; while the collector can't be
 * reached, further spans are dropped, which is said once until they get through again.
 */
import { own } from "../../program/types/own.ts";
import type { OtelReadableSpan, OtelSpanProcessor } from "../../deps.ts";
import type { BatchSettings } from "../render/otlp_settings.ts";
import type { Report } from "../types/report.ts";
import type { Delivery } from "./otlp_channel.ts";

/** Characters of all fields that wait. */
export const MAX_WAITING_CHARACTERS = 16 * 1024 * 1024;
/** Characters of one message, more or less: a collector takes 4 MiB unless told otherwise. */
const MAX_MESSAGE_CHARACTERS = 2 * 1024 * 1024;
/** Counted for each field and event besides its text. */
const FIELD_COST = 64;

function sizeOf({ attributes, events }: OtelReadableSpan): number {
  let size = FIELD_COST;
  const count = (fields: Readonly<Record<string, unknown>>) => {
    for (const name in fields) {
      const value = own(fields, name);
      size += FIELD_COST + (typeof value === "string" ? value.length : 0);
    }
  };
  count(attributes);
  for (const event of events) {
    size += FIELD_COST + event.name.length;
    if (event.attributes !== undefined) count(event.attributes);
  }
  return size;
}

/** A processor of spans that hands them in batches to `send`. */
export function spanBatches(
  { queue, batch, delayMs }: BatchSettings,
  send: (spans: readonly OtelReadableSpan[]) => Promise<Delivery>,
  report: Report,
): OtelSpanProcessor {
  let waiting: { readonly span: OtelReadableSpan; readonly size: number }[] = [];
  let size = 0;
  let dropped = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let sending: Promise<void> | undefined;
  let ended = false;

  const drop = () => {
    if (dropped++ === 0) {
      report("warn", "spans are dropped: they can't be sent to the OpenTelemetry collector", {
        waiting: waiting.length,
      });
    }
  };
  /** Sends what has waited longest; resolves to whether it makes sense to go on. */
  const sendBatch = async (): Promise<boolean> => {
    let count = 0, characters = 0;
    while (count < batch && count < waiting.length && characters < MAX_MESSAGE_CHARACTERS) {
      characters += waiting[count++]!.size;
    }
    const spans = waiting.splice(0, count);
    size -= characters;
    const delivery = await send(spans.map(({ span }) => span));
    if (delivery === "arrived") {
      if (dropped > 0) report("info", "spans are sent again", { dropped });
      dropped = 0;
      return true;
    }
    for (const one of delivery === "again" ? spans.reverse() : []) {
      if (waiting.length >= queue || size + one.size > MAX_WAITING_CHARACTERS) drop();
      else {
        waiting.unshift(one);
        size += one.size;
      }
    }
    if (delivery === "refused") { for (const _ of spans) drop(); }
    return false;
  };
  const schedule = (afterMs: number) => {
    if (sending !== undefined || waiting.length === 0) return;
    if (afterMs > 0 && timer !== undefined) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = undefined;
      sending = sendBatch().then((goOn) => {
        sending = undefined;
        if (!ended) schedule(goOn && waiting.length >= batch ? 1 : delayMs);
      });
    }, afterMs);
    timer.unref();
  };
  const forceFlush = async () => {
    clearTimeout(timer);
    timer = undefined;
    await sending;
    while (waiting.length > 0 && await sendBatch());
  };

  return {
    onStart() {},
    onEnd(span) {
      if (ended) return;
      const cost = sizeOf(span);
      if (waiting.length >= queue || size + cost > MAX_WAITING_CHARACTERS) {
        return drop();
      }
      waiting.push({ span, size: cost });
      size += cost;
      if (waiting.length === 1) schedule(delayMs);
      else if (waiting.length === batch) schedule(0);
    },
    forceFlush,
    async shutdown() {
      ended = true;
      await forceFlush();
      waiting = [];
    },
  };
}
