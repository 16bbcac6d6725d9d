// SPDX-License-Identifier: Apache-2.0
//! Two patterns and a name: matching and covering agree.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../core/model/tests/corpus/check.rs"]
mod check;

fuzz_target!(|data: &[u8]| check::pattern(data));
