// SPDX-License-Identifier: Apache-2.0
//! Clients of other languages: a STOMP client from npm and go-stomp against one running broker, and the Java clients of
//! ActiveMQ, which start brokers of their own.

use super::Environment;
use crate::bench::broker::Broker;
use crate::workspace::{Metadata, root, succeed};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

const NODE: &str = "tests/clients/node";
const GO: &str = "tests/clients/go";
const JAVA: &str = "tests/java";

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

/// Runs the tests of ActiveMQ's Java clients, of Spring and of Camel; with the long forms also against ActiveMQ itself,
/// which is their reference.
pub fn java(environment: &Environment) -> Result<()> {
    let suite = || {
        let mut maven = Command::new("mvn");
        maven.current_dir(root().join(JAVA)).args(["-q", "-B", "-ntp", "--fail-at-end"]);
        maven
    };
    let built = &environment.built;
    let mut tests = suite();
    tests.env("SABIR_TEST_BROKER", &built.program).env("SABIR_TEST_PLUGIN_DIR", &built.plugins);
    succeed(tests.arg("test"))?;
    if environment.full {
        succeed(suite().args(["-Dpeer=activemq", "test"]))?;
    }
    Ok(())
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
