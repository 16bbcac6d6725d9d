// SPDX-License-Identifier: Apache-2.0
//! What the journal tells the operator.

use sabir_sdk::Host;
use sabir_sdk::host::LogLevel;

const TARGET: &str = "store-journal";

/// Somebody must look at this.
pub fn error(host: &Host, text: &str) {
    host.log(LogLevel::Error, TARGET, text, &[]);
}

/// Unexpected, and dealt with.
pub fn warn(host: &Host, text: &str) {
    host.log(LogLevel::Warn, TARGET, text, &[]);
}

/// Good to know.
pub fn info(host: &Host, text: &str) {
    host.log(LogLevel::Info, TARGET, text, &[]);
}
