;; `validate` says that it succeeded, without a response. Settings are valid.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"valid\":true}")
  (func (export "__guest_call") (param $operation_length i32) (param i32) (result i32)
    (if (i32.ne (local.get $operation_length) (i32.const 8)) (then (call $respond (i32.const 0) (i32.const 14))))
    (i32.const 1)))
