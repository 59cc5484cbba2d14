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
export function spanBatches(settings: BatchSettings, send: Send, report: Report): OtelSpanProcessor {
  return new SpanBatches(settings, send, report);
}

type Send = (spans: readonly OtelReadableSpan[]) => Promise<Delivery>;

class SpanBatches implements OtelSpanProcessor {
  readonly #settings: BatchSettings;
  readonly #send: Send;
  readonly #report: Report;
  #waiting: { readonly span: OtelReadableSpan; readonly size: number }[] = [];
  /** Of all that wait. */
  #size = 0;
  #dropped = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending: Promise<void> | undefined;
  #ended = false;

  constructor(settings: BatchSettings, send: Send, report: Report) {
    this.#settings = settings;
    this.#send = send;
    this.#report = report;
  }

  onStart(): void {}

  onEnd(span: OtelReadableSpan): void {
    if (this.#ended) return;
    const size = sizeOf(span);
    if (!this.#hasRoom(size)) return this.#drop();
    this.#waiting.push({ span, size });
    this.#size += size;
    if (this.#waiting.length === 1) this.#schedule(this.#settings.delayMs);
    else if (this.#waiting.length === this.#settings.batch) this.#schedule(0);
  }

  async forceFlush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#sending;
    while (this.#waiting.length > 0 && await this.#sendBatch());
  }

  async shutdown(): Promise<void> {
    this.#ended = true;
    await this.forceFlush();
    this.#waiting = [];
  }

  #schedule(afterMs: number): void {
    if (this.#sending !== undefined || this.#waiting.length === 0) return;
    if (afterMs > 0 && this.#timer !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#sending = this.#sendBatch().then((goOn) => {
        this.#sending = undefined;
        const { batch, delayMs } = this.#settings;
        if (!this.#ended) this.#schedule(goOn && this.#waiting.length >= batch ? 1 : delayMs);
      });
    }, afterMs);
    this.#timer.unref();
  }

  /** Sends what has waited longest; resolves to whether it makes sense to go on. */
  async #sendBatch(): Promise<boolean> {
    const waiting = this.#waiting;
    let count = 0, characters = 0;
    while (count < this.#settings.batch && count < waiting.length && characters < MAX_MESSAGE_CHARACTERS) {
      characters += waiting[count++]!.size;
    }
    const spans = waiting.splice(0, count);
    this.#size -= characters;
    const delivery = await this.#send(spans.map(({ span }) => span));
    if (delivery === "arrived") {
      if (this.#dropped > 0) this.#report("info", "spans are sent again", { dropped: this.#dropped });
      this.#dropped = 0;
      return true;
    }
    for (const one of delivery === "again" ? spans.reverse() : []) {
      if (!this.#hasRoom(one.size)) this.#drop();
      else {
        this.#waiting.unshift(one);
        this.#size += one.size;
      }
    }
    if (delivery === "refused") { for (const _ of spans) this.#drop(); }
    return false;
  }

  #hasRoom(size: number): boolean {
    return this.#waiting.length < this.#settings.queue && this.#size + size <= MAX_WAITING_CHARACTERS;
  }

  #drop(): void {
    if (this.#dropped++ > 0) return;
    this.#report("warn", "spans are dropped: they can't be sent to the OpenTelemetry collector", {
      waiting: this.#waiting.length,
    });
  }
}
