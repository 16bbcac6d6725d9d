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
use std::process::Command;

/// A peer that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Peer {
    Rabbitmq,
    Activemq,
}

impl Peer {
    /// Fails, with the name of what is to be installed, where this machine lacks it. Nothing is ever installed.
    pub fn check(self) -> Result<()> {
        match self {
            Peer::Rabbitmq => rabbitmq::check(),
            Peer::Activemq => activemq::check(),
        }
    }

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
    ensure!(
        Path::new(file).exists(),
        "{file} is missing: install Debian's package {package} (apt-get install {package})"
    );
    Ok(())
}

/// The version of an installed package.
fn package_version(package: &str) -> Result<String> {
    super::broker::version_of(Command::new("dpkg-query").args(["--show", "--showformat=${Version}", package]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_by_its_package() {
        let error = require("/nowhere/broker.jar", "some-broker").expect_err("there is no such file");
        let text = error.to_string();
        assert!(text.contains("/nowhere/broker.jar") && text.contains("package some-broker"), "{text}");
        require("/", "base-files").expect("what is there is not missing");
    }
}
