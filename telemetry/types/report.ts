/** Where telemetry says that it works, or that it doesn't: one line each time that changes. */
export type Report = (
  level: "info" | "warn",
  message: string,
  fields: Readonly<Record<string, string | number>>,
) => void;
