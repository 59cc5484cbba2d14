/**
 * What a module of each execution mode may import: namespace, name, kind and full signature (`spec/evaluator.md §2.1, §6, §7.1`,
 * `docs/extism_policies.md`). Nothing else is linked, under whatever name: `render/imports.ts` compares, before a module is compiled.
 *
 * Only numbers cross the border. No list has tables, globals or tags, and a memory is imported by Rego modules alone.
 */
import type { ExecutionMode } from "./metadata.ts";

/** Signatures of functions by name, parameters before the arrow and results behind it. */
type Functions = Readonly<Record<string, string>>;

/** What modules of one execution mode may import. All names are looked up in maps: they are the module's words. */
export interface ImportList {
  /** Signatures by namespace and name. */
  readonly functions: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** Where the one memory stands that a module takes from its host; undefined where it must have its own. */
  readonly memory: { readonly namespace: string; readonly name: string } | undefined;
}

const WAPC: Functions = {
  __guest_request: "i32 i32 ->",
  __guest_response: "i32 i32 ->",
  __guest_error: "i32 i32 ->",
  __host_call: "i32 i32 i32 i32 i32 i32 i32 i32 -> i32",
  __host_response_len: "-> i32",
  __host_response: "i32 ->",
  __host_error_len: "-> i32",
  __host_error: "i32 ->",
  __console_log: "i32 i32 ->",
};

/** WASI preview 1, as its witx has it. */
const WASI: Functions = {
  args_get: "i32 i32 -> i32",
  args_sizes_get: "i32 i32 -> i32",
  clock_res_get: "i32 i32 -> i32",
  clock_time_get: "i32 i64 i32 -> i32",
  environ_get: "i32 i32 -> i32",
  environ_sizes_get: "i32 i32 -> i32",
  fd_advise: "i32 i64 i64 i32 -> i32",
  fd_allocate: "i32 i64 i64 -> i32",
  fd_close: "i32 -> i32",
  fd_datasync: "i32 -> i32",
  fd_fdstat_get: "i32 i32 -> i32",
  fd_fdstat_set_flags: "i32 i32 -> i32",
  fd_fdstat_set_rights: "i32 i64 i64 -> i32",
  fd_filestat_get: "i32 i32 -> i32",
  fd_filestat_set_size: "i32 i64 -> i32",
  fd_filestat_set_times: "i32 i64 i64 i32 -> i32",
  fd_pread: "i32 i32 i32 i64 i32 -> i32",
  fd_prestat_dir_name: "i32 i32 i32 -> i32",
  fd_prestat_get: "i32 i32 -> i32",
  fd_pwrite: "i32 i32 i32 i64 i32 -> i32",
  fd_read: "i32 i32 i32 i32 -> i32",
  fd_readdir: "i32 i32 i32 i64 i32 -> i32",
  fd_renumber: "i32 i32 -> i32",
  fd_seek: "i32 i64 i32 i32 -> i32",
  fd_sync: "i32 -> i32",
  fd_tell: "i32 i32 -> i32",
  fd_write: "i32 i32 i32 i32 -> i32",
  path_create_directory: "i32 i32 i32 -> i32",
  path_filestat_get: "i32 i32 i32 i32 i32 -> i32",
  path_filestat_set_times: "i32 i32 i32 i32 i64 i64 i32 -> i32",
  path_link: "i32 i32 i32 i32 i32 i32 i32 -> i32",
  path_open: "i32 i32 i32 i32 i32 i64 i64 i32 i32 -> i32",
  path_readlink: "i32 i32 i32 i32 i32 i32 -> i32",
  path_remove_directory: "i32 i32 i32 -> i32",
  path_rename: "i32 i32 i32 i32 i32 i32 -> i32",
  path_symlink: "i32 i32 i32 i32 i32 -> i32",
  path_unlink_file: "i32 i32 i32 -> i32",
  poll_oneoff: "i32 i32 i32 i32 -> i32",
  proc_exit: "i32 ->",
  proc_raise: "i32 -> i32",
  random_get: "i32 i32 -> i32",
  sched_yield: "-> i32",
  sock_accept: "i32 i32 i32 -> i32",
  sock_recv: "i32 i32 i32 i32 i32 i32 -> i32",
  sock_send: "i32 i32 i32 i32 i32 -> i32",
  sock_shutdown: "i32 i32 -> i32",
};

const HOST_CALL: Functions = { call: "i32 i32 i32 i32 i32 i32 i32 i32 -> i32" };

/** The ABI of `opa build`. The builtins take their number, a context, and as many values as their name says. */
const OPA: Functions = {
  opa_abort: "i32 ->",
  opa_println: "i32 ->",
  opa_builtin0: "i32 i32 -> i32",
  opa_builtin1: "i32 i32 i32 -> i32",
  opa_builtin2: "i32 i32 i32 i32 -> i32",
  opa_builtin3: "i32 i32 i32 i32 i32 -> i32",
  opa_builtin4: "i32 i32 i32 i32 i32 i32 -> i32",
};

/** What Extism's plug-in development kits import of their host. */
const EXTISM: Functions = {
  input_length: "-> i64",
  input_offset: "-> i64",
  input_load_u8: "i64 -> i32",
  input_load_u64: "i64 -> i64",
  alloc: "i64 -> i64",
  free: "i64 ->",
  length: "i64 -> i64",
  length_unsafe: "i64 -> i64",
  load_u8: "i64 -> i32",
  load_u64: "i64 -> i64",
  store_u8: "i64 i32 ->",
  store_u64: "i64 i64 ->",
  output_set: "i64 i64 ->",
  error_set: "i64 ->",
  config_get: "i64 -> i64",
  var_get: "i64 -> i64",
  var_set: "i64 i64 ->",
  http_request: "i64 i64 -> i64",
  http_status_code: "-> i32",
  http_headers: "-> i64",
  get_log_level: "-> i32",
  log_trace: "i64 ->",
  log_debug: "i64 ->",
  log_info: "i64 ->",
  log_warn: "i64 ->",
  log_error: "i64 ->",
};

const list = (
  namespaces: Readonly<Record<string, Functions>>,
  memory: ImportList["memory"] = undefined,
): ImportList => ({
  functions: new Map(
    Object.entries(namespaces).map(([namespace, functions]) =>
      [namespace, new Map(Object.entries(functions))] as const
    ),
  ),
  memory,
});

const WASI_NAMESPACES = { wasi_snapshot_preview1: WASI, wasi_unstable: WASI } as const;
const REGO = list({ env: OPA }, { namespace: "env", name: "memory" });

/** The list of each execution mode. */
export const IMPORTS: Readonly<Record<ExecutionMode, ImportList>> = {
  "kubewarden-wapc": list({ wapc: WAPC, ...WASI_NAMESPACES }),
  wasi: list({ ...WASI_NAMESPACES, host: HOST_CALL, "kubewarden:javy/host": HOST_CALL }),
  opa: REGO,
  gatekeeper: REGO,
  extism: list({
    "extism:host/env": EXTISM,
    "extism:host/user": { host_call: "i64 -> i64" },
    // AssemblyScript's runtime calls it: message, file, line, column.
    env: { abort: "i32 i32 i32 i32 ->" },
    ...WASI_NAMESPACES,
  }),
};
