// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask test [--full] [FILTER]`: every check and test, as CI runs them.
//!
//! Stages run in order, each with a budget of time that is printed beside what it took. Stages that others stand on
//! end the run when they fail; of the rest all run, so that one run tells everything. The last stages are the test
//! runners themselves, and nothing is printed after a success, so that the output ends with their closing lines.

mod c;
mod clients;
mod python;
pub mod seeded;
mod tools;

use crate::workspace::{Built, Metadata, Profile, cargo, gather, succeed};
use crate::{headers, tidy};
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// What `cargo xtask test` takes.
#[derive(clap::Args)]
pub struct TestArguments {
    /// Run the long forms: fresh seeds for the simulator, for SABIR_SIMULATE_SECONDS (default 1,800), and more rounds
    /// of `kill -9`
    #[arg(long)]
    full: bool,
    /// Run only the tests whose name contains this, and none of the checks
    filter: Option<String>,
}

/// For how many seconds the simulator tries fresh seeds. Without, it plays the same worlds every time.
const SIMULATE: &str = "SABIR_SIMULATE_SECONDS";

/// Environment of every test.
struct Environment {
    built: Built,
    full: bool,
}

impl Environment {
    /// Tells a test runner where the broker is.
    fn hand_to(&self, command: &mut std::process::Command) {
        command.env("SABIR_TEST_BIN", &self.built.program).env("SABIR_TEST_PLUGIN_DIR", &self.built.plugins);
        if self.full {
            command.env("SABIR_FULL", "1");
            if std::env::var_os(SIMULATE).is_none() {
                command.env(SIMULATE, "1800");
            }
        }
    }
}

/// Runs everything.
pub fn test(arguments: &TestArguments) -> Result<()> {
    let mut stages = Stages { failed: Vec::new(), start: Instant::now() };
    let filter = arguments.filter.as_deref();
    stages.must("tools", 120, tools::check)?;
    let metadata = Metadata::read()?;
    if filter.is_none() {
        stages.may("format", 10, || succeed(cargo().args(["fmt", "--all", "--check"])));
        stages.may("tidy", 15, tidy::tidy);
        stages.may("headers", 20, || headers::headers(true));
        stages.may("licences", 60, deny);
        stages.may("c", 30, c::check);
        stages.may("clippy", 300, clippy);
    }
    stages.must("build", 420, || {
        succeed(cargo().args(["build", "--locked", "--workspace", "--all-targets"]))
    })?;
    let built = gather(&metadata, Profile::Dev)?;
    let environment = Environment { built, full: arguments.full };
    stages.may("rust tests", if arguments.full { 3600 } else { 600 }, || rust(&environment, filter));
    if filter.is_none() {
        stages.may("seeded faults", 240, seeded::check);
        stages.may("a client from npm", 60, || clients::node(&metadata, &environment));
        stages.may("a client in Go", 90, || clients::go(&metadata, &environment));
        stages
            .may("clients in Java", if arguments.full { 1800 } else { 600 }, || clients::java(&environment));
    }
    stages.last("python tests", 240, || python::check(&metadata, &environment, filter));
    stages.end()
}

fn clippy() -> Result<()> {
    succeed(cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// `cargo deny` where a developer has it; what must hold everywhere is part of tidy.
fn deny() -> Result<()> {
    if !tools::runs("cargo", &["deny", "--version"]) {
        println!(
            "cargo-deny is not installed: tidy has checked licences, sources, bans and duplicates by deny.toml"
        );
        return Ok(());
    }
    succeed(cargo().args(["deny", "--offline", "check", "bans", "licenses", "sources"]))
}

fn rust(environment: &Environment, filter: Option<&str>) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--locked", "--workspace", "--no-fail-fast"]).args(filter);
    if environment.full {
        // What is ignored otherwise runs as long as told.
        command.args(["--tests", "--", "--include-ignored"]);
    }
    environment.hand_to(&mut command);
    succeed(&mut command)
}

/// The run so far.
struct Stages {
    failed: Vec<&'static str>,
    start: Instant,
}

impl Stages {
    /// A stage that the rest stands on.
    fn must(&mut self, name: &'static str, budget_s: u64, work: impl FnOnce() -> Result<()>) -> Result<()> {
        Self::open(name, budget_s);
        let start = Instant::now();
        let result = work();
        Self::close(name, budget_s, start.elapsed(), result.as_ref().err());
        result
    }

    /// A stage whose failure lets the others run.
    fn may(&mut self, name: &'static str, budget_s: u64, work: impl FnOnce() -> Result<()>) {
        if self.must(name, budget_s, work).is_err() {
            self.failed.push(name);
        }
    }

    /// The stage whose own closing line shall be the last.
    fn last(&mut self, name: &'static str, budget_s: u64, work: impl FnOnce() -> Result<()>) {
        println!("=== so far {:.0} s", self.start.elapsed().as_secs_f64());
        Self::open(name, budget_s);
        if let Err(error) = work() {
            println!("=== {name}: FAILED: {error:#}");
            self.failed.push(name);
        }
    }

    fn open(name: &str, budget_s: u64) {
        println!("\n=== {name} (budget {budget_s} s)");
    }

    fn close(name: &str, budget_s: u64, took: Duration, error: Option<&anyhow::Error>) {
        let took_s = took.as_secs_f64();
        let over = if took_s > budget_s as f64 { ", over its budget" } else { "" };
        match error {
            None => println!("=== {name}: ok, {took_s:.1} s of {budget_s} s{over}"),
            Some(error) => println!("=== {name}: FAILED after {took_s:.1} s{over}: {error:#}"),
        }
    }

    fn end(self) -> Result<()> {
        if !self.failed.is_empty() {
            bail!("these stages failed: {}", self.failed.join(", "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_stage_lets_the_others_run_and_fails_the_whole() {
        let mut stages = Stages { failed: Vec::new(), start: Instant::now() };
        let mut ran = false;
        stages.may("one", 1, || bail!("broken"));
        stages.may("two", 1, || {
            ran = true;
            Ok(())
        });
        assert!(ran);
        let error = stages.end().expect_err("one stage failed");
        assert!(error.to_string().contains("one") && !error.to_string().contains("two"), "{error}");
    }

    #[test]
    fn a_stage_that_others_stand_on_ends_the_run() {
        let mut stages = Stages { failed: Vec::new(), start: Instant::now() };
        assert!(stages.must("build", 1, || bail!("broken")).is_err());
    }
}
