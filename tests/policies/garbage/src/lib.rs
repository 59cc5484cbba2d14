//! Answers what no policy should, as told; accepts everything else.
use instructions::{Instructions, accept, register, setting, settings_are_valid};
use kubewarden_policy_sdk::wapc_guest::CallResult;

#[link(wasm_import_module = "wapc")]
unsafe extern "C" {
    fn __guest_request(operation: *mut u8, payload: *mut u8);
    fn __guest_response(response: *const u8, length: usize);
    fn __console_log(text: *const u8, length: usize);
    fn __host_call(
        binding: *const u8,
        binding_length: usize,
        namespace: *const u8,
        namespace_length: usize,
        operation: *const u8,
        operation_length: usize,
        payload: *const u8,
        payload_length: usize,
    ) -> usize;
    fn __host_response(response: *mut u8);
}

/// Near the end of a 32-bit address space, where no memory of a test is.
const NOWHERE: usize = 0xffff_ff00;

#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register(validate, validate_settings);
}

fn validate(payload: &[u8]) -> CallResult {
    let told = Instructions::of(payload)?;
    garbage(told.text("do"), told.number("megabytes", 1)).unwrap_or_else(accept)
}

fn validate_settings(settings: &[u8]) -> CallResult {
    garbage(&setting(settings)?, 1).unwrap_or_else(|| settings_are_valid(settings))
}

fn garbage(way: &str, megabytes: usize) -> Option<CallResult> {
    let answer = match way {
        "empty" => Vec::new(),
        "text" => b"this is not JSON".to_vec(),
        "half" => br#"{"accepted":tr"#.to_vec(),
        "trailing" => br#"{"accepted":true} {"accepted":false}"#.to_vec(),
        "other-shape" => br#"[1,2,3]"#.to_vec(),
        "not-a-verdict" => br#"{"accepted":"yes"}"#.to_vec(),
        "code-out-of-range" => br#"{"accepted":false,"code":65536}"#.to_vec(),
        "invalid-utf8" => b"{\"accepted\":true,\"message\":\"\xff\xfe\"}".to_vec(),
        "lone-surrogate" => br#"{"accepted":false,"message":"\ud800"}"#.to_vec(),
        "zero-bytes" => vec![0; 64],
        "deep" => vec![b'['; 1 << 20],
        "megabytes" => vec![b' '; megabytes << 20],
        "megabytes-of-message" => {
            let mut verdict = br#"{"accepted":false,"message":""#.to_vec();
            verdict.resize(verdict.len() + (megabytes << 20), b'x');
            verdict.extend_from_slice(br#""}"#);
            verdict
        }
        // SAFETY of what follows: deliberately none; a host must check every address that a guest names.
        "response-nowhere" => {
            unsafe { __guest_response(NOWHERE as *const u8, 0x1000) };
            return None;
        }
        // The length alone is more than there is memory.
        "response-of-everything" => {
            unsafe { __guest_response(core::ptr::null(), usize::MAX) };
            return None;
        }
        "request-to-nowhere" => {
            unsafe { __guest_request(NOWHERE as *mut u8, NOWHERE as *mut u8) };
            return None;
        }
        "console-nowhere" => {
            unsafe { __console_log(NOWHERE as *const u8, 0x1000) };
            return None;
        }
        "console-binary" => {
            let text = [0xff, 0xfe];
            unsafe { __console_log(text.as_ptr(), text.len()) };
            return None;
        }
        "host-call-nowhere" => {
            let nowhere = NOWHERE as *const u8;
            unsafe {
                __host_call(
                    nowhere, 0x1000, nowhere, 0x1000, nowhere, 0x1000, nowhere, 0x1000,
                )
            };
            return None;
        }
        "host-response-to-nowhere" => {
            let [binding, namespace, operation] =
                ["kubewarden", "no-such-namespace", "no-such-operation"];
            unsafe {
                __host_call(
                    binding.as_ptr(),
                    binding.len(),
                    namespace.as_ptr(),
                    namespace.len(),
                    operation.as_ptr(),
                    operation.len(),
                    operation.as_ptr(),
                    operation.len(),
                );
                __host_response(NOWHERE as *mut u8);
            }
            return None;
        }
        _ => return None,
    };
    Some(Ok(answer))
}
