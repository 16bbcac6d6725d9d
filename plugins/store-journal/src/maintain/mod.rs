// SPDX-License-Identifier: Apache-2.0
//! What an operator can ask of a journal besides what it does by itself.
//!
//! ```text
//!   check    everything is read, nothing is changed          report   what is told of it
//!   repair   what is damaged goes, the rest goes on          compact  entries are moved until no file is worth emptying
//! ```
//! Whoever looks after a journal has its lock: nobody writes meanwhile.

mod check;
mod compact;
mod repair;
mod report;

pub use compact::Compacted;
pub use report::{Item, Report};

use crate::config::Options;
use crate::journal;
use sabir_sdk::disk::Disk;
use sabir_sdk::store::Maintenance;
use sabir_sdk::{Error, ErrorCode, Host, Result};
use serde::Deserialize;
use std::sync::Arc;

/// Told what is done, how much of it, and how much there is; false: stop.
pub type Progress<'a> = dyn FnMut(&str, u64, u64) -> bool + 'a;

/// What may be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Go on without what is lost.
    pub accept_loss: bool,
}

impl Wanted {
    /// Reads it from a JSON object; nothing: nothing is allowed.
    pub fn parse(json: &str) -> Result<Self> {
        let text = if json.trim().is_empty() { "{}" } else { json };
        serde_json::from_str(text)
            .map_err(|error| Error::new(ErrorCode::Invalid, format!("what may be done: {error}")))
    }
}

/// Looks after a journal on a disk: the real one, or one that is simulated. Answers a report, as JSON.
pub fn run(
    disk: Arc<dyn Disk>,
    options: Options,
    host: Host,
    verb: Maintenance,
    wanted: Wanted,
    progress: &mut Progress<'_>,
) -> Result<String> {
    let lock = journal::lock(&*disk)?;
    let report = match verb {
        Maintenance::Check => check::check(disk, options, host, lock, progress)?,
        Maintenance::Repair => repair::repair(disk, options, host, lock, wanted, progress)?,
        Maintenance::Compact => compact::compact(disk, options, host, lock, progress)?,
    };
    serde_json::to_string(&report).map_err(|error| Error::new(ErrorCode::Other, error.to_string()))
}

/// What [`Progress`] answered no to.
fn stopped() -> Error {
    Error::new(ErrorCode::Closed, "it was told to stop")
}
