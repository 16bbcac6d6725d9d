// SPDX-License-Identifier: Apache-2.0
//! ActiveMQ Classic from Maven Central, embedded in a small program, with the settings of the peer that speaks STOMP
//! (`peers/activemq.rs` says why each).

use super::JavaPrograms;
use crate::bench::broker::{ACKS_PER_WINDOW, Broker, announced, folder, log_of, spawn, stop_group};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

const SETTINGS: &str = "KahaDB, journalDiskSyncStrategy=always, concurrentStoreAndDispatchQueues=false, \
                        preallocationStrategy=zeros, skipMetadataUpdate=true";

/// Starts it.
pub fn start(programs: &JavaPrograms, under: &Path) -> Result<Broker> {
    let folder = folder(under)?;
    let mut command = programs.java("sabir.bench.ActiveMq");
    command.arg(folder.path().join("data")).current_dir(folder.path()).stdout(Stdio::piped());
    let start = Instant::now();
    let mut child = spawn(&mut command, folder.path())?;
    let mut output = BufReader::new(child.stdout.take().context("standard output is not piped")?);
    let mut version = String::new();
    output.read_line(&mut version)?;
    let address = match announced(output) {
        Ok(address) => address,
        Err(error) => {
            stop_group(&mut child);
            return Err(error.context(log_of(folder.path())));
        }
    };
    let pid = child.id();
    Ok(Broker {
        name: "activemq",
        address,
        host: "localhost",
        login: None,
        acks_per_window: ACKS_PER_WINDOW,
        version: version.trim().trim_start_matches("version ").to_owned(),
        settings: SETTINGS,
        pid,
        ready: start.elapsed(),
        child,
        after: None,
        folder,
    })
}
