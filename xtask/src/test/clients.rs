// SPDX-License-Identifier: Apache-2.0
//! Clients of other languages against one running broker: a STOMP client from npm, and go-stomp.

use super::Environment;
use crate::bench::broker::Broker;
use crate::workspace::{Metadata, root, succeed};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

const NODE: &str = "tests/clients/node";
const GO: &str = "tests/clients/go";

/// Runs the tests of the client from npm.
pub fn node(metadata: &Metadata, environment: &Environment) -> Result<()> {
    let broker = Broker::sabir(&environment.built, &metadata.target_directory.join("clients"))?;
    // Packages are installed beside a copy, so that the sources stay clean.
    let folder = metadata.target_directory.join("clients/node");
    copy(&root().join(NODE), &folder)?;
    succeed(Command::new("npm").current_dir(&folder).args(["ci", "--silent"]))?;
    let mut tests = Command::new("node");
    succeed(tests.current_dir(&folder).arg("--test").env("SABIR_STOMP", broker.address.to_string()))
}

/// Runs the tests of go-stomp.
pub fn go(metadata: &Metadata, environment: &Environment) -> Result<()> {
    let broker = Broker::sabir(&environment.built, &metadata.target_directory.join("clients"))?;
    let mut tests = Command::new("go");
    tests.current_dir(root().join(GO)).args(["test", "-count=1", "./..."]);
    succeed(tests.env("SABIR_STOMP", broker.address.to_string()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
