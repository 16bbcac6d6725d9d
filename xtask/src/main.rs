// SPDX-License-Identifier: Apache-2.0
//! The project's own tasks: run, test, tidy, headers, bench.
fn main() {}
