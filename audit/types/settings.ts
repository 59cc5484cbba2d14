/** How a scan was asked for: the flags, parsed (spec/audit.md §2). */

export const REPORT_KINDS = ["openreports", "policyreport"] as const;
/** Which of the two report APIs is written: `openreports.io` or `wgpolicyk8s.io`. */
export type ReportKind = typeof REPORT_KINDS[number];

export const LEVELS = ["debug", "info", "warning", "error"] as const;
export type LogLevel = typeof LEVELS[number];

export type AuditSettings = {
  /** Audit only this namespace. */
  readonly namespace: string | undefined;
  /** Audit only cluster-scoped resources. */
  readonly clusterOnly: boolean;
  /** Where the policy servers' Services are; never audited as part of "all namespaces". */
  readonly kubewardenNamespace: string;
  /** Base URL that takes the place of the Services' URLs. */
  readonly policyServerUrl: string | undefined;
  /** Absent: `info`, or `warning` where the log goes to a terminal. */
  readonly logLevel: LogLevel | undefined;
  readonly outputScan: boolean;
  readonly ignoreNamespaces: readonly string[];
  readonly insecureSsl: boolean;
  /** Paths of PEM files. */
  readonly extraCa: string | undefined;
  readonly clientCert: string | undefined;
  readonly clientKey: string | undefined;
  readonly disableStore: boolean;
  readonly parallelNamespaces: number;
  readonly parallelResources: number;
  readonly parallelPolicies: number;
  /** `limit` of each list; 0 asks for everything at once. */
  readonly pageSize: number;
  readonly reportKind: ReportKind;
  /** Keep the reports of what has not changed since they were written. */
  readonly incremental: boolean;
};
