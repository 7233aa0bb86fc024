//! One program for all targets; `TIDELOG_FUZZ_TARGET` names the one that runs.

#![no_main]

use std::env;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tidelog_fuzz::TARGETS;

fuzz_target!(|data: &[u8]| {
    static BODY: OnceLock<fn(&[u8])> = OnceLock::new();
    let body = BODY.get_or_init(|| {
        let name = env::var("TIDELOG_FUZZ_TARGET").expect("TIDELOG_FUZZ_TARGET names a target");
        let target = TARGETS.iter().find(|target| target.name == name);
        target.expect("a target of the list").body
    });
    body(data);
});
