// SPDX-License-Identifier: Apache-2.0
//! The tests in Python, with the clients that they drive from PyPI in an environment of their own under `target/`.

use super::Environment;
use crate::workspace::{Metadata, root, succeed};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

const TESTS: &str = "tests/python";
const REQUIREMENTS: &str = "tests/python/requirements.txt";

/// Runs pytest.
pub fn check(metadata: &Metadata, environment: &Environment, filter: Option<&str>) -> Result<()> {
    let venv = metadata.target_directory.join("python");
    prepare(&venv)?;
    let mut pytest = Command::new(venv.join("bin/python"));
    pytest.current_dir(root()).args(["-m", "pytest", "-p", "no:cacheprovider", TESTS]);
    if let Some(filter) = filter {
        pytest.args(["-k", filter]);
    }
    environment.hand_to(&mut pytest);
    // The suite also runs against brokers that are elsewhere, and has names of its own for where.
    pytest.env("SABIR_BIN", &environment.built.program).env("SABIR_PLUGINS", &environment.built.plugins);
    let line = crate::workspace::describe(&pytest);
    let status = pytest.status().with_context(|| format!("cannot start `{line}`"))?;
    // 5: the filter chose none of the tests here.
    let nothing_chosen = filter.is_some() && status.code() == Some(5);
    anyhow::ensure!(status.success() || nothing_chosen, "`{line}` failed: {status}");
    Ok(())
}

/// Makes the environment anew when what it shall hold has changed.
fn prepare(venv: &Path) -> Result<()> {
    let wanted = std::fs::read_to_string(root().join(REQUIREMENTS))
        .with_context(|| format!("cannot read {REQUIREMENTS}"))?;
    let stamp = venv.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
    let mut pip = Command::new(venv.join("bin/python"));
    pip.current_dir(root()).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        REQUIREMENTS,
    ]);
    succeed(&mut pip)?;
    std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}
