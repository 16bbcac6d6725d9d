// SPDX-License-Identifier: Apache-2.0
//! Arbitrary bytes as a message's head: what was checked can be read, and nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../core/model/tests/corpus/check.rs"]
mod check;

fuzz_target!(|data: &[u8]| check::message(data));
