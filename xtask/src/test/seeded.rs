// SPDX-License-Identifier: Apache-2.0
//! Faults that are put into our own code on purpose, each of which the tests must catch.
//!
//! They are in the code of the journal and the engine, at the places where they would hurt, behind a feature that nothing
//! else asks for: what is released and what the other tests run does not contain them. A test that stays silent is one
//! that tests less than it says.

use crate::workspace::{cargo, describe};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names the fault that is in effect.
const VARIABLE: &str = "SABIR_SEEDED_FAULT";
/// A test that needs longer has not noticed anything.
const PATIENCE: Duration = Duration::from_secs(600);

/// A fault, the test program and the test in it that must catch it.
type Fault = (&'static str, &'static str, &'static str);

const ANY_CUT: &str = "a_power_cut_at_any_operation";
const FAILURE: &str = "after_a_failed_write_or_sync";
const WORLDS: &str = "no_promise_is_broken";

#[rustfmt::skip]
const FAULTS: &[Fault] = &[
    ("confirmed before the sync", "crash", ANY_CUT),
    ("failed sync tried again", "crash", FAILURE),
    ("no sync of the directory", "crash", "the_first_batch_of_a_new_journal"),
    ("checksum of records skipped", "damage", "a_flipped_bit_anywhere"),
    ("epoch used again", "crash", ANY_CUT),
    ("batches beyond the seal count", "damage", "what_an_earlier_epoch_writes_late"),
    ("file used again under its old header", "crash", ANY_CUT),
    ("pointer before the checkpoint", "crash", ANY_CUT),
    ("files given back before the checkpoint", "crash", ANY_CUT),
    ("failed write taken as whole", "crash", FAILURE),
    ("half of a batch applied", "crash", ANY_CUT),
    ("batch number used again", "crash", "the_first_batch_of_a_new_journal"),
    ("damage in the middle taken for the tail", "damage", "damage_in_the_middle"),
    ("replayed without a sync", "crash", "a_power_cut_after_a_kill"),
    ("goes on after a failure", "crash", FAILURE),
    ("reserve given to everybody", "damage", "on_a_full_disk"),
    ("unreadable file passed over", "damage", "a_damaged_header_of_the_only_file"),
    ("confirmed before the commit", "simulator", WORLDS),
    ("delivered before the commit", "simulator", WORLDS),
];

/// Builds the tests with the faults in them, and sees that each fault is caught.
pub fn check() -> Result<()> {
    let programs = build()?;
    let program = |name: &str| programs.get(name).with_context(|| format!("cargo built no test {name}"));
    // Without a fault they must pass, or what they catch means nothing. The longer ones have their turn among all tests.
    let tests: BTreeSet<(&str, &str)> = FAULTS.iter().map(|(_, binary, test)| (*binary, *test)).collect();
    for (binary, test) in tests.into_iter().filter(|(binary, _)| *binary == "damage") {
        if !passes(program(binary)?, test, "")? {
            bail!("{binary} {test} fails without any fault");
        }
    }
    let mut silent = Vec::new();
    println!("| fault | caught by | seconds |\n|---|---|---|");
    for (fault, binary, test) in FAULTS {
        let began = Instant::now();
        let caught = !passes(program(binary)?, test, fault)?;
        let by = if caught { format!("{binary}: {test}") } else { "NOBODY".to_owned() };
        println!("| {fault} | {by} | {:.1} |", began.elapsed().as_secs_f64());
        if !caught {
            silent.push(*fault);
        }
    }
    if !silent.is_empty() {
        bail!("not caught: {}", silent.join("; "));
    }
    Ok(())
}

/// What cargo says of what it has built.
#[derive(Deserialize)]
struct Artifact {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

fn build() -> Result<BTreeMap<String, PathBuf>> {
    let mut command = cargo();
    command.args(["test", "--locked", "--no-run", "--message-format", "json"]);
    command.args(["-p", "sabir-store-journal", "-p", "sabir-tests"]);
    command.args(["--features", "sabir-store-journal/seeded-faults,sabir-engine/seeded-faults"]);
    command.args(["--test", "crash", "--test", "damage", "--test", "simulator"]);
    let line = describe(&command);
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", output.status);
    }
    let messages = String::from_utf8(output.stdout).context("cargo did not print text")?;
    let mut programs = BTreeMap::new();
    for line in messages.lines() {
        let artifact: Artifact = serde_json::from_str(line).context("cannot read what cargo printed")?;
        if let (Some(target), Some(executable)) = (artifact.target, artifact.executable) {
            programs.insert(target.name, executable);
        }
    }
    Ok(programs)
}

/// Whether a test passes; one that takes too long has not failed.
fn passes(program: &PathBuf, test: &str, fault: &str) -> Result<bool> {
    let mut command = Command::new(program);
    command.arg(test).env(VARIABLE, fault).env_remove("SABIR_SIMULATE_SECONDS");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let line = describe(&command);
    let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            // 101: a test has failed. Anything else, as a crash of the program, is no judgement.
            return match status.code() {
                Some(0) => Ok(true),
                Some(101) => Ok(false),
                _ => bail!("`{line}` ended with {status}"),
            };
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
