;; Its __guest_call takes other parameters than waPC's.
(module
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i64) (result i64) (local.get 0)))
