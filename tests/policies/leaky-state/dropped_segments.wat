;; Takes its verdict from a data segment and calls a function from an element segment, then drops both. A host that lets the next
;; request find them dropped makes it trap; nothing can bring a dropped segment back but another instance.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (memory (export "memory") 1)
  (table $table 1 funcref)
  (data $valid "{\"valid\":true}")
  (data $accepted "{\"accepted\":true,\"message\":\"nothing is left\"}")
  (elem $functions func $answer)
  (func $answer (call $respond (i32.const 0) (i32.const 45)))
  (func (export "__guest_call") (param $operation_length i32) (param i32) (result i32)
    (if (i32.ne (local.get $operation_length) (i32.const 8))
      (then
        (memory.init $valid (i32.const 0) (i32.const 0) (i32.const 14))
        (call $respond (i32.const 0) (i32.const 14))
        (return (i32.const 1))))
    (memory.init $accepted (i32.const 0) (i32.const 0) (i32.const 45))
    (table.init $table $functions (i32.const 0) (i32.const 0) (i32.const 1))
    (call_indirect $table (i32.const 0))
    (data.drop $accepted)
    (elem.drop $functions)
    (i32.const 1)))
