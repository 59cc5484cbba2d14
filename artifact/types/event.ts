/** What this room tells its caller while it works: log lines and the progress of downloads. */

export type LogLevel = "debug" | "info" | "warn";

/** A log line, or the progress of a download. */
export type ArtifactEvent =
  | {
    readonly kind: "log";
    readonly level: LogLevel;
    readonly message: string;
    readonly fields: Readonly<Record<string, string | number | boolean>>;
  }
  | {
    /** At most one every 250 ms per download, and one at its end. */
    readonly kind: "progress";
    readonly reference: string;
    readonly receivedBytes: number;
    /** Absent when the server does not say. */
    readonly totalBytes: number | undefined;
    readonly done: boolean;
  };

/** Gets events; it is called synchronously and must not throw. */
export type OnEvent = (event: ArtifactEvent) => void;
