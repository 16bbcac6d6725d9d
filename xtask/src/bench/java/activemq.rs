// SPDX-License-Identifier: Apache-2.0
//! ActiveMQ Classic from Maven Central, embedded in a small program, with the settings of the peer that speaks STOMP
//! (`peers/activemq.rs` says why each).

use super::JavaPrograms;
use crate::bench::broker::{Broker, Launched, announced, folder, log_of, spawn, stop_group};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

const SETTINGS: &str = "KahaDB, journalDiskSyncStrategy=always, concurrentStoreAndDispatchQueues=false, \
                        preallocationStrategy=zeros, skipMetadataUpdate=true";

/// Starts it on an empty folder.
pub fn start(programs: &JavaPrograms, under: &Path) -> Result<Broker> {
    let folder = folder(under)?;
    let launched = launch(programs, folder.path())?;
    Ok(Broker::of("activemq", "localhost", SETTINGS, launched, folder))
}

/// Starts it on the data in a folder.
pub fn launch(programs: &JavaPrograms, folder: &Path) -> Result<Launched> {
    let mut command = programs.java("sabir.bench.ActiveMq");
    command.arg(folder.join("data")).current_dir(folder).stdout(Stdio::piped());
    let start = Instant::now();
    let mut child = spawn(&mut command, folder)?;
    let mut output = BufReader::new(child.stdout.take().context("standard output is not piped")?);
    let mut version = String::new();
    output.read_line(&mut version)?;
    match announced(output) {
        Ok(address) => {
            let version = version.trim().trim_start_matches("version ").to_owned();
            Ok(Launched { child, address, ready: start.elapsed(), version })
        }
        Err(error) => {
            stop_group(&mut child);
            Err(error.context(log_of(folder)))
        }
    }
}
