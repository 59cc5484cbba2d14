/** What the room's types say, without loading a server. */
export type { HttpHandler, HttpRequest, HttpResponse } from "./types/http.ts";
export { BodyError } from "./types/http.ts";
export {
  AT_ONCE,
  CLOSED_TEXT,
  type ClosedReason,
  type ConnectionLimits,
  type Ending,
  type HttpListener,
  LIMITS,
  type ListenOptions,
  PROBE_LIMITS,
  sharedLimits,
  STILL_ACCEPTING_MS,
  type TlsSettings,
} from "./types/listener.ts";
