// SPDX-License-Identifier: Apache-2.0
//! Worlds in which one thing goes wrong, at a place that is chosen: each operation of a run in its turn.
//!
//! A short form takes some places of each sort; with `SABIR_FULL` all have their turn.

use crate::judge;
use crate::world::{Fate, World};
use sabir_testkit::disk::{Dice, Faults};
use std::time::Instant;

/// The run whose operations are the places.
const SEED: u64 = 2_000;
/// Operations of the run that are places.
const OPERATIONS: u64 = 2_000;
/// Steps in which every place is come to.
const STEPS: usize = 24_000;
/// Steps after the fault, before everything is drained.
const MORE: usize = 100;

fn full() -> bool {
    std::env::var_os("SABIR_FULL").is_some()
}

/// The operations of the run without a fault that give names to files.
fn survey() -> Vec<(u64, String)> {
    let mut named = Vec::new();
    let world = World::calm(SEED, Fate::default());
    judge(world, |world| named = world.survey(OPERATIONS)).unwrap_or_else(|story| panic!("{story}"));
    named
}

/// Plays a world with each fate; fails with the story of the first in which a word was not kept.
fn play(what: &str, seeded: impl Iterator<Item = (u64, Fate)>) {
    play_as(what, seeded, |world| world.play_fate(STEPS, MORE));
}

fn play_as(what: &str, seeded: impl Iterator<Item = (u64, Fate)>, mut played: impl FnMut(&mut World)) {
    let began = Instant::now();
    let (mut worlds, mut crashes) = (0, 0);
    for (seed, fate) in seeded {
        let place = fate.clone();
        let world = judge(World::calm(seed, fate), &mut played);
        let world = world.unwrap_or_else(|story| panic!("{what}, {place:?}: {story}"));
        worlds += 1;
        crashes += world.crashes;
    }
    println!(
        "| {what} | {worlds} | 0 words broken, {crashes} crashes | {:.1} | simulated |",
        began.elapsed().as_secs_f64()
    );
    assert!(crashes >= worlds, "{crashes} crashes in {worlds} worlds: the faults did not strike");
}

fn power_at(at: u64) -> Faults {
    Faults { power_at: Some(at), ..Faults::default() }
}

#[test]
fn a_kill_or_a_power_cut_at_any_operation_breaks_no_promise() {
    let count: u64 = if full() { 5_000 } else { 20 };
    // First all of them with a kill, then all of them with a power cut, and so on.
    let places = (0..count).map(|n| {
        let place = n * 2 * OPERATIONS / count.min(2 * OPERATIONS);
        let fate = Fate {
            faults: power_at(1 + place % OPERATIONS),
            kill: (place / OPERATIONS).is_multiple_of(2),
            ..Fate::default()
        };
        (SEED + place / (2 * OPERATIONS), fate)
    });
    play("kill and power cut at each operation", places);
}

#[test]
fn whatever_was_not_synced_may_be_torn_and_reordered() {
    let mut dice = Dice::new(3);
    let count = if full() { 2_000 } else { 10 };
    // The seed is also the disk's: what of the unsynced sectors survives.
    let places = (0..count)
        .map(|_| (dice.roll(), Fate { faults: power_at(1 + dice.below(OPERATIONS / 2)), ..Fate::default() }));
    play("torn and reordered writes", places);
}

#[test]
fn after_any_write_or_sync_that_fails_nothing_confirmed_is_missing() {
    let mut dice = Dice::new(4);
    let count = if full() { 200 } else { 10 };
    let places = (0..count).map(|n| {
        let faults = match n % 2 {
            0 => Faults { write_fails: Some(1 + dice.below(300)), ..Faults::default() },
            _ => Faults { sync_fails: Some(1 + dice.below(150)), ..Faults::default() },
        };
        (SEED, Fate { faults, kill: n % 4 < 2, ..Fate::default() })
    });
    play("EIO on the n-th write or sync", places);
}

#[test]
fn a_power_cut_during_recovery_changes_nothing_however_often() {
    let mut dice = Dice::new(5);
    let count = if full() { 200 } else { 8 };
    let places = (0..count).map(|_| {
        let interrupted_at = (0..3).map(|_| 1 + dice.below(12)).collect();
        let faults = power_at(100 + dice.below(OPERATIONS - 100));
        (SEED, Fate { faults, kill: dice.chance(30), interrupted_at })
    });
    play("crash during recovery, three times each", places);
}

/// Places around the operations that give a name with this beginning.
fn around(what: &str, prefix: &str, before: u64, seed: u64) {
    let named = survey();
    let marks: Vec<u64> =
        named.iter().filter(|(_, name)| name.starts_with(prefix)).map(|(at, _)| *at).collect();
    assert!(marks.len() > 5, "{marks:?}");
    let mut dice = Dice::new(seed);
    let count = if full() { 200 } else { 8 };
    let places = (0..count).map(|_| {
        let mark = marks[dice.below(marks.len() as u64) as usize];
        let at = (mark + 3).saturating_sub(dice.below(before + 3)).max(1);
        (SEED, Fate { faults: power_at(at), kill: dice.chance(30), ..Fate::default() })
    });
    play(what, places);
}

#[test]
fn a_crash_while_a_checkpoint_is_made_loses_nothing() {
    around("crash during checkpoints", "checkpoint", 6, 6);
}

#[test]
fn a_crash_while_the_journal_goes_on_in_another_file_loses_nothing() {
    around("crash during file rotation", "data-", 8, 7);
}

/// A world in which the journal moves whatever it can move, all the time.
const MOVING_SEED: u64 = 2_001;
const _: () = assert!(MOVING_SEED.is_multiple_of(3) && !SEED.is_multiple_of(3));

#[test]
fn a_crash_while_entries_are_moved_loses_nothing() {
    let mut dice = Dice::new(8);
    let count = if full() { 200 } else { 8 };
    let places = (0..count).map(|_| {
        let faults = power_at(200 + dice.below(OPERATIONS - 200));
        (MOVING_SEED, Fate { faults, kill: dice.chance(30), ..Fate::default() })
    });
    play("crash while entries are moved", places);
}

#[test]
fn a_crash_while_the_store_is_compacted_loses_nothing_however_often() {
    let mut dice = Dice::new(9);
    let count = if full() { 200 } else { 8 };
    let places = (0..count).map(|n| (SEED + n, Fate { kill: dice.chance(30), ..Fate::default() }));
    let (mut times, mut copied_bytes) = (Dice::new(10), 0);
    play_as("crash during `sabir store compact`, up to three times each", places, |world| {
        world.play_compacted(600 + times.below(3_000) as usize, 1 + times.below(3) as u32, MORE);
        copied_bytes += world.compacted_bytes;
    });
    assert!(copied_bytes > count * 1_000, "only {copied_bytes} bytes would have been copied");
}
