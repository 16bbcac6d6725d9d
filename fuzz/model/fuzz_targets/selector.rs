// SPDX-License-Identifier: Apache-2.0
//! Arbitrary text as a selector: it is one, and then its canonical text is the same one; or it is an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../core/model/tests/corpus/check.rs"]
mod check;

fuzz_target!(|data: &[u8]| check::selector(data));
