// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask run [--release] [-- ARGS]`: build the broker and its plugins, and become `sabir run`.

use crate::workspace::{Metadata, Profile, build_broker};
use anyhow::Result;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What `cargo xtask run` takes.
#[derive(clap::Args)]
pub struct RunArguments {
    /// Build with optimisation
    #[arg(long)]
    release: bool,
    /// Handed on to `sabir run`
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Builds, then replaces this process by the broker, so that signals and the exit code are the broker's own.
pub fn run(arguments: RunArguments) -> Result<()> {
    let profile = if arguments.release { Profile::Release } else { Profile::Dev };
    let built = build_broker(&Metadata::read()?, profile)?;
    let mut broker = Command::new(&built.program);
    broker.arg("run").arg("--plugins").arg(&built.plugins).args(arguments.arguments);
    Err(anyhow::Error::new(broker.exec()).context(format!("cannot start {}", built.program.display())))
}
