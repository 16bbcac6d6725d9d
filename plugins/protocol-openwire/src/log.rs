// SPDX-License-Identifier: Apache-2.0
//! What the plugin logs: little, never bodies or passwords, and only text that was made printable.

use sabir_sdk::{Host, LogLevel};

const TARGET: &str = "sabir::openwire";

/// A session ends because of its peer: one line per connection. Peers that have not logged in can reach `debug` only,
/// or anybody could write the log full.
pub fn refused(host: &Host, logged_in: bool, connection_id: &str, detail: &str) {
    let level = if logged_in { LogLevel::Info } else { LogLevel::Debug };
    if host.enabled(level, TARGET) {
        let what = "a connection is ended because of what its peer sent";
        host.log(level, TARGET, what, &[("connection", connection_id), ("detail", detail)]);
    }
}

/// Something that a peer would like to know, and is not told by itself.
pub fn noted(host: &Host, connection_id: &str, what: &str, detail: &str) {
    if host.enabled(LogLevel::Debug, TARGET) {
        host.log(LogLevel::Debug, TARGET, what, &[("connection", connection_id), ("detail", detail)]);
    }
}
