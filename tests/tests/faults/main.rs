// SPDX-License-Identifier: Apache-2.0
//! The broker on media that fail: real processes, real clients, real files.
//!
//! Each row does one sort of harm, many times, and then looks whether every word that the broker gave was kept. The rows
//! run one after the other, and a table at the end says what each came to, beside the medium's own speed. In a short form
//! a row takes seconds; with `SABIR_FULL` it takes its full counts.
//!
//! ```text
//!   kills     SIGKILL at the n-th write, sync, rename or removal; while it recovers; when it goes on in another file
//!   compacts  SIGKILL while the store is compacted
//!   power     the power goes: ext4 and xfs forget what was not synced
//!   errors    writes and syncs that fail, by a full medium below the file system and by injection
//!   flips     a bit of a file has changed while nobody looked
//!   full      the file system is full, while consumers go on
//!   places    read-only, without descriptors, a second opener, a removed lock file
//!   clocks    the time of day jumps
//!   slow      a medium that takes 5 operations a second, and one that takes none
//! ```
//!
//! File systems are mounted in a name space of this program's own, so that none is left behind however it ends. What
//! cannot be done here, for want of root, of loop devices or of a tool, is said; where `CI` is `true`, it is a failure.

mod clocks;
mod compacts;
mod errors;
mod flips;
mod full;
mod kills;
mod machine;
mod places;
mod power;
mod slow;

use machine::{Needs, Scene};
use sabir_tests::process::full;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// One sort of harm.
struct Row {
    name: &'static str,
    needs: &'static [Needs],
    /// How often, in a short run and in a full one.
    counts: [u32; 2],
    /// Does it so often; answers what happened, in words.
    run: fn(&mut Scene, u32) -> String,
}

const ROWS: &[Row] = &[
    Row {
        name: "kill at the n-th write, sync, rename or removal",
        needs: &[Needs::Strace],
        counts: [10, 500],
        run: kills::at_calls,
    },
    Row {
        name: "kill while it recovers",
        needs: &[Needs::Strace],
        counts: [6, 200],
        run: kills::while_it_recovers,
    },
    Row {
        name: "kill when it goes on in another file",
        needs: &[Needs::Strace],
        counts: [4, 200],
        run: kills::at_another_file,
    },
    Row {
        name: "kill while it is compacted",
        needs: &[Needs::Strace],
        counts: [6, 200],
        run: compacts::killed,
    },
    Row {
        name: "power cut, ext4",
        needs: &[Needs::Mounts],
        counts: [5, 150],
        run: |scene, count| power::cuts(scene, machine::Kind::Ext4, count),
    },
    Row {
        name: "power cut, xfs",
        needs: &[Needs::Mounts, Needs::Xfs],
        counts: [5, 150],
        run: |scene, count| power::cuts(scene, machine::Kind::Xfs, count),
    },
    Row {
        name: "EIO, real: ext4 above a full medium",
        needs: &[Needs::Mounts],
        counts: [2, 20],
        run: errors::real,
    },
    Row { name: "EIO, injected", needs: &[Needs::Strace], counts: [8, 180], run: errors::injected },
    Row { name: "bit flips", needs: &[], counts: [20, 2000], run: flips::anywhere },
    Row { name: "disk full", needs: &[Needs::Mounts], counts: [2, 20], run: full::again_and_again },
    Row {
        name: "read-only at the start",
        needs: &[Needs::Mounts],
        counts: [1, 3],
        run: places::read_only_at_the_start,
    },
    Row {
        name: "read-only while it runs",
        needs: &[Needs::Mounts],
        counts: [1, 10],
        run: places::read_only_while_it_runs,
    },
    Row { name: "no descriptors left", needs: &[], counts: [1, 10], run: places::no_descriptors },
    Row { name: "second opener, lock file removed", needs: &[], counts: [1, 10], run: places::lock_file },
    Row { name: "clock jumps", needs: &[Needs::FakeTime], counts: [1, 5], run: clocks::jumps },
    Row { name: "clock of the machine anew", needs: &[Needs::Mounts], counts: [1, 5], run: clocks::uptime },
    Row { name: "slow disk", needs: &[Needs::Mounts, Needs::Throttle], counts: [1, 3], run: slow::throttled },
    Row { name: "frozen disk", needs: &[Needs::Mounts], counts: [1, 5], run: slow::frozen },
];

/// How a row ended.
enum Ended {
    Good(u32, String),
    Failed,
    Missing(String),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|word| word == "--list") {
        ROWS.iter().for_each(|row| println!("{}: test", row.name));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen =
        |row: &&Row| filters.is_empty() || filters.iter().any(|word| row.name.contains(word.as_str()));
    let rows: Vec<&Row> = ROWS.iter().filter(chosen).collect();
    if rows.is_empty() {
        return ExitCode::SUCCESS;
    }
    machine::enter_own_mounts();
    let mut lines = Vec::new();
    let (mut failed, mut missing) = (0, 0);
    for row in rows {
        println!("--- {}", row.name);
        let began = Instant::now();
        let (ended, syncs_per_s) = play(row);
        let line = describe(row, &ended, began.elapsed(), syncs_per_s);
        println!("{line}");
        lines.push(line);
        failed += u32::from(matches!(ended, Ended::Failed));
        missing += u32::from(matches!(ended, Ended::Missing(_)));
    }
    println!("\n| harm | count | result | seconds | raw fdatasync/s |\n|---|---|---|---|---|");
    lines.iter().for_each(|line| println!("{line}"));
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    if missing > 0 {
        println!("{missing} rows could not be done here{}", if in_ci { ", where all must be" } else { "" });
    }
    if failed > 0 || (in_ci && missing > 0) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn play(row: &Row) -> (Ended, u64) {
    if let Some(why) = row.needs.iter().find_map(|need| need.missing()) {
        return (Ended::Missing(why), 0);
    }
    let mut scene = Scene::new();
    let syncs_per_s = scene.raw_syncs_per_s();
    let count = row.counts[usize::from(full())];
    match catch_unwind(AssertUnwindSafe(|| (row.run)(&mut scene, count))) {
        Ok(words) => (Ended::Good(count, words), syncs_per_s),
        // The panic has told its story already.
        Err(_) => (Ended::Failed, syncs_per_s),
    }
}

fn describe(row: &Row, ended: &Ended, took: Duration, syncs_per_s: u64) -> String {
    let (count, words) = match ended {
        Ended::Good(count, words) => (count.to_string(), words.as_str()),
        Ended::Failed => ("-".to_owned(), "FAILED"),
        Ended::Missing(why) => ("0".to_owned(), why.as_str()),
    };
    format!("| {} | {count} | {words} | {:.1} | {syncs_per_s} |", row.name, took.as_secs_f64())
}
