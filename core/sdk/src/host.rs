// SPDX-License-Identifier: Apache-2.0
//! What the broker offers a plugin: log, time, metrics, timers, tasks, and its reactor.

use sabir_abi::sabir_host;

/// The host's table of functions. Cheap to copy; valid for ever.
#[derive(Clone, Copy)]
pub struct Host(Option<&'static sabir_host>);

impl Host {
    /// No host: for a plugin's own unit tests. It logs nowhere, its clock is the system's, and its tasks, timers and
    /// reactor are not there.
    pub fn none() -> Self {
        Host(None)
    }
}
