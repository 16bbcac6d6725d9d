// SPDX-License-Identifier: Apache-2.0
//! A session that is fed arbitrary bytes: see `drive`.
#![no_main]

mod drive;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| drive::session(data));
