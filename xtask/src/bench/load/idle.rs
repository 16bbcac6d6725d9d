// SPDX-License-Identifier: Apache-2.0
//! Many connections that have logged in and do nothing, until standard input ends.

use super::link::Link;
use super::{Load, Seen};
use anyhow::{Result, ensure};
use std::io::Read;

/// Opens them, says so, and waits.
pub fn idle(load: &Load) -> Result<()> {
    let links = (0..load.producers).map(|_| Link::log_in(load)).collect::<Result<Vec<_>>>()?;
    for link in &links {
        ensure!(link.is_open()?, "the broker has closed an idle connection");
    }
    let seen = Seen { connections: links.len() as u64, ..Seen::default() };
    println!("{}", serde_json::to_string(&seen)?);
    std::io::stdin().lock().read_to_end(&mut Vec::new())?;
    drop(links);
    Ok(())
}
