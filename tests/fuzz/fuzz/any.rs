//! One program for each target, told apart by its name.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tidelog_fuzz::TARGETS;

fuzz_target!(|data: &[u8]| {
    static BODY: OnceLock<fn(&[u8])> = OnceLock::new();
    let body = BODY.get_or_init(|| {
        let name = env!("CARGO_BIN_NAME");
        let target = TARGETS.iter().find(|target| target.name == name);
        target.expect("every program is named after a target").body
    });
    body(data);
});
