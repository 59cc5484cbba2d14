;; `validate` ends the guest with proc_exit(0) and catches that: a host that stops guests by throwing would run it on. What it then
;; answers must not count.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 64) "{\"accepted\":true,\"message\":\"caught the exit\"}")
  (func (export "__guest_call") (param $operation_length i32) (param i32) (result i32)
    (if (i32.eq (local.get $operation_length) (i32.const 8))
      (then
        (block $caught
          (try_table (catch_all $caught) (call $exit (i32.const 0))))
        (call $respond (i32.const 64) (i32.const 45))
        (return (i32.const 1))))
    (call $respond (i32.const 0) (i32.const 14))
    (i32.const 1)))
