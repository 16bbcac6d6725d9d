// SPDX-License-Identifier: Apache-2.0
//! The simulator: the real engine on the real journal, in worlds made from seeds.
//!
//! Random clients publish, consume, commit and roll back; batches are synced late; reads come back in any order;
//! clocks jump; the disk fails, loses power, tears and reorders what was not synced. Afterwards the ledger checks:
//! nothing confirmed is lost, nothing rolled back appears, nothing comes again after its accept was confirmed, order
//! holds per producer, transactions are whole, and what was sent again is there once. A seed that fails replays exactly:
//!
//! ```text
//!   SABIR_SEED=1234 cargo test -p sabir-tests --test simulator
//! ```
//!
//! `SABIR_SIMULATE_SECONDS` says how long fresh seeds are tried, instead of the same ones every time; `SABIR_HISTORY`
//! how many lines of the story are told when one fails.

mod broker;
mod client;
mod ledger;
mod points;
mod scene;
mod world;

use sabir_store_journal::Options;
use sabir_testkit::disk::Dice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use world::{Counts, World};

/// Worlds that every run plays: a few minutes.
const WORLDS: u64 = 500;
/// Steps of one world.
const STEPS: usize = 4_000;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text:?}")))
}

/// Plays one world as its seed has it.
fn run(seed: u64) -> Result<World, String> {
    judge(World::new(seed), |world| world.play(STEPS))
}

/// Plays a world; answers what was wrong, with the story.
fn judge(mut world: World, play: impl FnOnce(&mut World)) -> Result<World, String> {
    let played = catch_unwind(AssertUnwindSafe(|| play(&mut world)));
    if let Err(panic) = played {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        return Err(format!("panic: {}\n{}", text.unwrap_or_default(), world.story()));
    }
    if world.ledger.violations.is_empty() {
        return Ok(world);
    }
    let few: Vec<String> = world.ledger.violations.iter().take(10).cloned().collect();
    Err(format!("{}\n{}", few.join("\n"), world.story()))
}

/// Small files, so that a few hundred messages rotate, recycle and checkpoint them.
fn small_files() -> Options {
    Options {
        file_bytes: 64 << 10,
        first_file_bytes: 16 << 10,
        write_buffer_bytes: 8 << 10,
        direct_bytes: 4 << 10,
        checkpoint_bytes: 48 << 10,
        reserve_bytes: 16 << 10,
        spare_files: 1,
        background: false,
        ..Options::default()
    }
}

#[test]
fn no_promise_is_broken_in_any_world() {
    if let Some(seed) = number("SABIR_SEED") {
        if let Err(story) = run(seed) {
            panic!("{story}");
        }
        return;
    }
    // By default the same worlds every time, so that a failure is the change's own; on demand fresh ones.
    let fresh = number("SABIR_SIMULATE_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let start =
        fresh.and_then(|_| std::time::UNIX_EPOCH.elapsed().ok()).map_or(0, |since| since.as_nanos() as u64);
    let mut seeds = Dice::new(start);
    let (mut worlds, mut crashes, mut delivered) = (0u64, 0u64, 0u64);
    let mut counts = Counts::default();
    while fresh.map_or(worlds < WORLDS, |end| Instant::now() < end) {
        match run(seeds.roll()) {
            Ok(world) => {
                worlds += 1;
                crashes += u64::from(world.crashes);
                delivered += world.delivered;
                counts.add(&world.counts);
            }
            Err(story) => panic!("{story}"),
        }
    }
    println!("{worlds} worlds, {crashes} crashes, {delivered} deliveries, {counts:?}");
    assert!(
        worlds > 0 && crashes > worlds && delivered > 100 * worlds && counts.are_more_than(worlds / 4),
        "the worlds were too quiet to prove anything"
    );
}

#[test]
fn the_same_seed_gives_the_same_story() {
    let story = |seed| World::new(seed).play_and_tell(500);
    assert_eq!(story(7), story(7));
    assert_ne!(story(7), story(8));
}
