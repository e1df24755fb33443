//! Coverage-guided: libFuzzer calls the target that `PLANK_FUZZ_TARGET` names. `make fuzz` runs all of them.

#![no_main]

use std::sync::LazyLock;

mod targets;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let wanted = std::env::var("PLANK_FUZZ_TARGET").unwrap_or_default();
    let mut all = targets::ALL.iter();
    let found = all.find(|(name, _)| *name == wanted);
    found.expect("PLANK_FUZZ_TARGET names a target").1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
