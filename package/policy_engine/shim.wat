;; What makes QuickJS a waPC guest. It is merged with `quickjs.wasm` of the package quickjs-wasi (`build.ts`), whose functions it
;; calls under the name "engine" and whose imports from "env" it serves.
;;
;; QuickJS keeps its stack in the first MiB of the memory and limits it to far less (`apply/snapshot.ts`), so that the first page is
;; free. It holds, at fixed places:
;;
;;    16  i32  the JSContext           written into the snapshot by `reeve build`
;;    24  i64  the function to call    likewise
;;    32  i32  the payload of the call that runs, and at 36 its length
;;    40  i64  the two arguments of the function
;;    56  i32  a length that QuickJS writes
;;    64  i64  which lengths a host call takes, in three i32
;;    80  i64  what the function returned last, at 88 its text, and at 92 what was allocated for the call
;;   128       texts
;;
;; The function gets the operation (a string) and the payload (what JSON it holds), or undefined and an error that it could not
;; catch. It returns a string: "1" and the response, or "0" and the error.
(module
  (import "engine" "memory" (memory 1))
  (import "engine" "malloc" (func $malloc (param i32) (result i32)))
  (import "engine" "free" (func $free (param i32)))
  (import "engine" "JS_NewStringLen" (func $newString (param i32 i32 i32) (result i64)))
  (import "json" "parse" (func $parseJson (param i32 i32 i32 i32) (result i64)))
  (import "engine" "JS_Call" (func $call (param i32 i64 i64 i32 i32) (result i64)))
  (import "engine" "JS_ToCStringLen2" (func $toCString (param i32 i32 i64 i32) (result i32)))
  (import "engine" "JS_FreeCString" (func $freeCString (param i32 i32)))
  (import "engine" "JS_FreeValue" (func $freeValue (param i32 i64)))
  (import "engine" "JS_GetException" (func $exception (param i32) (result i64)))
  (import "engine" "qjs_new_string" (func $newBoxedString (param i32 i32) (result i32)))

  (import "wapc" "__guest_request" (func $guestRequest (param i32 i32)))
  (import "wapc" "__guest_response" (func $guestResponse (param i32 i32)))
  (import "wapc" "__guest_error" (func $guestError (param i32 i32)))
  (import "wapc" "__host_call" (func $hostCall (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_response_len" (func $hostResponseLength (result i32)))
  (import "wapc" "__host_response" (func $hostResponse (param i32)))
  (import "wapc" "__host_error_len" (func $hostErrorLength (result i32)))
  (import "wapc" "__host_error" (func $hostError (param i32)))

  (data (i32.const 128) "kubewarden")
  (data (i32.const 144) "the policy ran out of memory")
  (data (i32.const 176) "request\00")

  ;; A value's tag is its upper half: -1 down to -9 for what is counted, 0 and up for what is not, 6 for "an exception was thrown".
  (func $isException (param $value i64) (result i32)
    (i64.eq (i64.shr_u (local.get $value) (i64.const 32)) (i64.const 6)))

  (func $outOfMemory (result i32)
    (call $guestError (i32.const 144) (i32.const 28))
    (i32.const 0))

  ;; Ends a call with the exception that QuickJS holds. What JavaScript can't catch, such as the lack of memory, comes here: the
  ;; function is called once more, without an operation, to say where it happened.
  (func $failed (param $context i32) (result i32)
    (local $exception i64)
    (local $result i64)
    (local $text i32)
    (local.set $exception (call $exception (local.get $context)))
    (i64.store (i32.const 40) (i64.const 0x300000000)) ;; undefined
    (i64.store (i32.const 48) (local.get $exception))
    (local.set $result
      (call $call (local.get $context) (i64.load (i32.const 24)) (i64.const 0x300000000) (i32.const 2) (i32.const 40)))
    (if (i32.eqz (call $isException (local.get $result)))
      (then
        (local.set $text (call $toCString (local.get $context) (i32.const 56) (local.get $result) (i32.const 0)))
        (if (local.get $text)
          (then
            (call $guestError (i32.add (local.get $text) (i32.const 1)) (i32.sub (i32.load (i32.const 56)) (i32.const 1)))
            (return (i32.const 0))))))
    (local.set $text
      (call $toCString (local.get $context) (i32.const 56) (local.get $exception) (i32.const 0)))
    (if (i32.eqz (local.get $text)) (then (return (call $outOfMemory))))
    (call $guestError (local.get $text) (i32.load (i32.const 56)))
    (i32.const 0))

  ;; Lets go of what the last call left. Hosts that call one instance twice would run out of memory otherwise; for those that take all
  ;; memory back after a call, nothing is freed in vain.
  (func $release (param $context i32)
    (if (i32.eqz (i32.load (i32.const 92))) (then (return)))
    (call $freeCString (local.get $context) (i32.load (i32.const 88)))
    (call $freeValue (local.get $context) (i64.load (i32.const 80)))
    (call $freeValue (local.get $context) (i64.load (i32.const 40)))
    (call $freeValue (local.get $context) (i64.load (i32.const 48)))
    (call $free (i32.load (i32.const 92)))
    (i32.store (i32.const 92) (i32.const 0)))

  (func (export "__guest_call") (param $operationLength i32) (param $payloadLength i32) (result i32)
    (local $context i32)
    (local $operation i32)
    (local $payload i32)
    (local $result i64)
    (local $text i32)
    (local $length i32)
    (local $succeeded i32)
    (local.set $context (i32.load (i32.const 16)))
    (call $release (local.get $context))
    (local.set $operation
      (call $malloc (i32.add (i32.add (local.get $operationLength) (local.get $payloadLength)) (i32.const 2))))
    (if (i32.eqz (local.get $operation)) (then (return (call $outOfMemory))))
    (local.set $payload (i32.add (i32.add (local.get $operation) (local.get $operationLength)) (i32.const 1)))
    (call $guestRequest (local.get $operation) (local.get $payload))
    (i32.store8 (i32.add (local.get $payload) (local.get $payloadLength)) (i32.const 0))
    (i32.store (i32.const 32) (local.get $payload))
    (i32.store (i32.const 36) (local.get $payloadLength))
    (i64.store (i32.const 40)
      (call $newString (local.get $context) (local.get $operation) (local.get $operationLength)))
    (if (call $isException (i64.load (i32.const 40))) (then (return (call $failed (local.get $context)))))
    (i64.store (i32.const 48) (i64.const 0x300000000)) ;; undefined
    (if (local.get $payloadLength)
      (then
        (i64.store (i32.const 48)
          (call $parseJson (local.get $context) (local.get $payload) (local.get $payloadLength) (i32.const 176)))
        (if (call $isException (i64.load (i32.const 48)))
          (then (return (call $failed (local.get $context)))))))
    (local.set $result
      (call $call (local.get $context) (i64.load (i32.const 24)) (i64.const 0x300000000) (i32.const 2) (i32.const 40)))
    (if (call $isException (local.get $result)) (then (return (call $failed (local.get $context)))))
    (local.set $text (call $toCString (local.get $context) (i32.const 56) (local.get $result) (i32.const 0)))
    (if (i32.eqz (local.get $text)) (then (return (call $failed (local.get $context)))))
    (local.set $length (i32.sub (i32.load (i32.const 56)) (i32.const 1)))
    (local.set $succeeded (i32.eq (i32.load8_u (local.get $text)) (i32.const 49)))
    (if (local.get $succeeded)
      (then (call $guestResponse (i32.add (local.get $text) (i32.const 1)) (local.get $length)))
      (else (call $guestError (i32.add (local.get $text) (i32.const 1)) (local.get $length))))
    (i64.store (i32.const 80) (local.get $result))
    (i32.store (i32.const 88) (local.get $text))
    (i32.store (i32.const 92) (local.get $operation))
    (local.get $succeeded))

  ;; The text of the argument `index`; its length goes to 64 + 4 * index.
  (func $argument (param $context i32) (param $arguments i32) (param $index i32) (result i32)
    (call $toCString
      (local.get $context)
      (i32.add (i32.const 64) (i32.shl (local.get $index) (i32.const 2)))
      (i64.load (i32.load (i32.add (local.get $arguments) (i32.shl (local.get $index) (i32.const 2)))))
      (i32.const 0)))

  ;; Functions of the host, as QuickJS calls them: "payload" gives the text of the payload, "call" takes namespace, operation and
  ;; payload, and gives "1" and what the host answered, or "0" and its error.
  (func (export "host_call") (param $name i32) (param $nameLength i32) (param $this i32) (param $count i32)
    (param $arguments i32) (result i32)
    (local $context i32)
    (local $namespace i32)
    (local $operation i32)
    (local $payload i32)
    (local $ok i32)
    (local $length i32)
    (local $answer i32)
    (local $result i32)
    (if (i32.eq (local.get $nameLength) (i32.const 7))
      (then (return (call $newBoxedString (i32.load (i32.const 32)) (i32.load (i32.const 36))))))
    (if (i32.lt_u (local.get $count) (i32.const 3)) (then (return (i32.const 0))))
    (local.set $context (i32.load (i32.const 16)))
    ;; Without one of them an exception is pending: out of memory.
    (if (i32.eqz (local.tee $namespace (call $argument (local.get $context) (local.get $arguments) (i32.const 0))))
      (then (return (i32.const 0))))
    (if (i32.eqz (local.tee $operation (call $argument (local.get $context) (local.get $arguments) (i32.const 1))))
      (then (return (i32.const 0))))
    (if (i32.eqz (local.tee $payload (call $argument (local.get $context) (local.get $arguments) (i32.const 2))))
      (then (return (i32.const 0))))
    (local.set $ok
      (call $hostCall
        (i32.const 128) (i32.const 10)
        (local.get $namespace) (i32.load (i32.const 64))
        (local.get $operation) (i32.load (i32.const 68))
        (local.get $payload) (i32.load (i32.const 72))))
    (call $freeCString (local.get $context) (local.get $namespace))
    (call $freeCString (local.get $context) (local.get $operation))
    (call $freeCString (local.get $context) (local.get $payload))
    (local.set $length
      (if (result i32) (local.get $ok) (then (call $hostResponseLength)) (else (call $hostErrorLength))))
    (local.set $answer (call $malloc (i32.add (local.get $length) (i32.const 1))))
    (if (i32.eqz (local.get $answer)) (then (return (i32.const 0))))
    (i32.store8 (local.get $answer) (i32.add (i32.const 48) (local.get $ok)))
    (if (local.get $ok)
      (then (call $hostResponse (i32.add (local.get $answer) (i32.const 1))))
      (else (call $hostError (i32.add (local.get $answer) (i32.const 1)))))
    (local.set $result (call $newBoxedString (local.get $answer) (i32.add (local.get $length) (i32.const 1))))
    (call $free (local.get $answer))
    (local.get $result))

  ;; What else QuickJS would ask of a host: the time zone is UTC, nothing interrupts it, there are no modules to load.
  (func (export "host_get_timezone_offset") (param i32 i32) (result i32) (i32.const 0))
  (func (export "host_interrupt") (result i32) (i32.const 0))
  (func (export "host_promise_rejection") (param i32 i32 i32))
  (func (export "host_module_normalize") (param i32 i32) (result i32) (i32.const 0))
  (func (export "host_module_load") (param i32 i32) (result i32) (i32.const 0)))
