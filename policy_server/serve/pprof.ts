/** `/debug/pprof` on the main listener, with `--enable-pprof` only (spec/policy-server.md §5.7). */
import type { Log } from "../apply/log.ts";
import { type Profiler, UnsupportedProfile } from "../apply/profiler.ts";
import { errorAnswer } from "../render/error_answer.ts";
import type { HttpRequest, HttpResponse } from "../../http/types.ts";

const JSON_TYPE = { "content-type": "application/json" };
const TEXT_TYPE = { "content-type": "text/plain; charset=utf-8" };
const READ_ONLY: HttpResponse = { status: 405, headers: { allow: "GET" }, body: "" };

const DEFAULT_HERTZ = 99;
const MAX_HERTZ = 1000;
const DEFAULT_SECONDS = 30;
const MAX_SECONDS = 300;

/** What a router must have. */
type Routes = {
  get(path: string, handle: (request: HttpRequest) => Promise<HttpResponse>): Routes;
  all(path: string, handle: () => HttpResponse): Routes;
};

/** The query's whole number, or what is wrong with it. */
function wholeNumber(query: URLSearchParams, name: string, fallback: number, most: number): number | string {
  const text = query.get(name);
  if (text === null) return fallback;
  const number = /^\+?\d{1,10}$/.test(text) ? Number(text) : 0;
  return number >= 1 && number <= most
    ? number
    : `${name}: expected a whole number from 1 to ${most}, found ${JSON.stringify(text.slice(0, 40))}`;
}

/** Adds the routes. */
export function pprofRoutes(router: Routes, profiler: Profiler, log: Log): void {
  const answered = async (name: string, take: () => Promise<Uint8Array>): Promise<HttpResponse> => {
    try {
      const body = await take();
      const headers = {
        "content-type": "application/octet-stream",
        "content-disposition": `attachment; filename="${name}"`,
      };
      return { status: 200, headers, body };
    } catch (error) {
      log.error(`pprof error: ${(error as Error).message}`);
      return error instanceof UnsupportedProfile
        ? { status: 501, headers: JSON_TYPE, body: errorAnswer(501, error.message) }
        : { status: 500, headers: JSON_TYPE, body: errorAnswer(500, "Something went wrong") };
    }
  };
  router.get("/debug/pprof/cpu", (request) => {
    const query = new URL(request.url).searchParams;
    const hertz = wholeNumber(query, "frequency", DEFAULT_HERTZ, MAX_HERTZ);
    const seconds = wholeNumber(query, "interval", DEFAULT_SECONDS, MAX_SECONDS);
    if (typeof hertz === "string" || typeof seconds === "string") {
      const wrong = typeof hertz === "string" ? hertz : seconds;
      const body = `Failed to deserialize query string: ${wrong}`;
      return Promise.resolve({ status: 400, headers: TEXT_TYPE, body });
    }
    log.info("a CPU profile was asked for", { seconds, frequency: hertz });
    return answered("cpu_profile", () => profiler.cpu(hertz, seconds, request.signal));
  }).all("/debug/pprof/cpu", () => READ_ONLY);
  router.get("/debug/pprof/heap", () => answered("heap_profile", () => profiler.heap()))
    .all("/debug/pprof/heap", () => READ_ONLY);
}
