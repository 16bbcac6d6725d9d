// SPDX-License-Identifier: Apache-2.0
//! Other brokers, from Debian's packages, run beside Sabir with the same load and the same durability.
//!
//! Each is started on loopback, on ports that are free, in a folder of its own that is removed afterwards; nothing of
//! an installed service is touched.

mod activemq;
mod rabbitmq;

use super::broker::Broker;
use anyhow::{Result, ensure};
use std::path::Path;

/// A peer that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Peer {
    Rabbitmq,
    Activemq,
}

impl Peer {
    /// Starts it under the folder `under`.
    pub fn start(self, under: &Path) -> Result<Broker> {
        match self {
            Peer::Rabbitmq => rabbitmq::start(under),
            Peer::Activemq => activemq::start(under),
        }
    }
}

/// Fails with the package's name where a file of it is missing.
fn require(file: &str, package: &str) -> Result<()> {
    ensure!(Path::new(file).exists(), "{file} is missing: install Debian's package {package}");
    Ok(())
}
