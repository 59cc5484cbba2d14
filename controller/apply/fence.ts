/** Keeps a controller that is no longer the leader from writing: two that write at once would undo each other's work. */
import type { ApiTransport } from "../../kubernetes/apply/api_transport.ts";

/** What decides whether this controller may write. */
export type Fence = {
  /** Asked before every write. */
  mayWrite(): boolean;
  /** Aborted when that is over for good: writes on their way are cut off too. */
  readonly lost: AbortSignal;
};

/** Raised instead of sending a write. */
export class NotLeaderError extends Error {
  override readonly name = "NotLeaderError";

  constructor() {
    super("not sent: this controller is not the leader any more");
  }
}

/** `transport`, whose writes are refused as `fence` says. */
export function fencedTransport(transport: ApiTransport, fence: Fence): ApiTransport {
  return {
    ...transport,
    request(request) {
      if (request.method === "GET") return transport.request(request);
      if (!fence.mayWrite()) return Promise.reject(new NotLeaderError());
      const signal = request.signal === undefined
        ? fence.lost
        : AbortSignal.any([request.signal, fence.lost]);
      return transport.request({ ...request, signal });
    },
  };
}
