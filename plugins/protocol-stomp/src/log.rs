// SPDX-License-Identifier: Apache-2.0
//! What the plugin logs: little, never bodies or passwords, and only text that was made printable.

use sabir_sdk::{Host, LogLevel};

const TARGET: &str = "sabir::stomp";

/// A session ends because of its peer: one line per connection. Peers that have not logged in can reach `debug` only,
/// or anybody could write the log full.
pub fn refused(host: &Host, logged_in: bool, connection_id: &str, what: &str, detail: &str) {
    let level = if logged_in { LogLevel::Info } else { LogLevel::Debug };
    if host.enabled(level, TARGET) {
        host.log(level, TARGET, what, &[("connection", connection_id), ("detail", detail)]);
    }
}

/// A reply was sent to a temporary destination that is gone.
pub fn vanished(host: &Host, connection_id: &str) {
    if host.enabled(LogLevel::Debug, TARGET) {
        let what = "a message was dropped: its temporary destination is gone";
        host.log(LogLevel::Debug, TARGET, what, &[("connection", connection_id)]);
    }
}

/// A message of another protocol has a body that cannot be turned into what its kind says.
pub fn unreadable(host: &Host, connection_id: &str, why: &str) {
    if host.enabled(LogLevel::Warn, TARGET) {
        let what = "the body of a message cannot be sent over STOMP";
        host.log(LogLevel::Warn, TARGET, what, &[("connection", connection_id), ("detail", why)]);
    }
}
