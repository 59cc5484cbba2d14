;; `validate` says that it failed, without an error. Settings are valid.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"valid\":true}")
  (func (export "__guest_call") (param $operation_length i32) (param i32) (result i32)
    (call $respond (i32.const 0) (i32.const 14))
    (i32.ne (local.get $operation_length) (i32.const 8))))
