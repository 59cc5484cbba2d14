;; `validate` grows its table until the host refuses, then accepts. Settings are valid.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (memory (export "memory") 1)
  (table $table 0 funcref)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 64) "{\"accepted\":true}")
  (func (export "__guest_call") (param $operation_length i32) (param i32) (result i32)
    (if (i32.ne (local.get $operation_length) (i32.const 8))
      (then (call $respond (i32.const 0) (i32.const 14)) (return (i32.const 1))))
    (loop $more
      (br_if $more (i32.ne (table.grow $table (ref.null func) (i32.const 65536)) (i32.const -1))))
    (call $respond (i32.const 64) (i32.const 17))
    (i32.const 1)))
