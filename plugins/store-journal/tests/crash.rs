// SPDX-License-Identifier: Apache-2.0
//! Power cuts, kills and failures at every operation of a run: nothing synced is lost, batches are there whole and
//! in order, and the journal starts every time.

mod model;

use model::{Model, Ran, count, eager, open, run, small, submit};
use sabir_sdk::ErrorCode;
use sabir_sdk::store::Store;
use sabir_store_journal::Options;
use sabir_testkit::disk::{Dice, Faults, SimDisk};

const BATCHES: usize = 110;

// What stood before, and what this run added, up to what the store says that it has.
fn expected(before: &Model, ran: &Ran, reached: u64) -> Model {
    let mut model = before.reopened();
    let more = (reached - before.batches) as usize;
    ran.batches.iter().take(more).for_each(|batch| model.apply(batch));
    model.reopened()
}

fn check(disk: &SimDisk, options: &Options, before: &Model, ran: &Ran) -> Result<Model, String> {
    let store = open(disk, options).map_err(|error| format!("it does not start: {error:?}"))?;
    let reached = count(&store);
    let floor = before.batches + ran.durable as u64;
    if reached < floor || reached > before.batches + ran.batches.len() as u64 {
        return Err(format!("{reached} batches are there, {floor} were durable"));
    }
    let model = expected(before, ran, reached);
    model.compare(&store)?;
    let (found, wanted) = (store.summaries(), model.summaries());
    if found != wanted {
        return Err(format!("summaries {found:?}, expected {wanted:?}"));
    }
    Ok(model)
}

#[test]
fn a_link_leads_to_what_an_entry_was_replaced_by_even_if_the_old_one_was_linked_to_just_before() {
    use bytes::Bytes;
    use sabir_model::store::{Batch, Level, Op};
    let store = open(&SimDisk::new(), &small()).unwrap();
    let append = |seq, text: &'static str| Op::Append {
        log: 1,
        seq,
        span: 1,
        format: 0,
        label: Bytes::new(),
        record: [Bytes::from_static(text.as_bytes()), Bytes::new()],
    };
    let link = |seq, from_seq| Op::Link { log: 2, seq, from_log: 1, from_seq, label: Bytes::new() };
    let batch = |ops| Batch { ops, level: Level::Durable };
    submit(&store, &batch(vec![append(0, "old"), append(1, "other")])).unwrap();
    let record = Some(Bytes::from_static(b"new"));
    let replace = Op::Replace { log: 1, first: 0, last: 0, span: 1, format: 0, record };
    submit(&store, &batch(vec![replace, link(0, 1)])).unwrap();
    submit(&store, &batch(vec![link(1, 0)])).unwrap();
    let data: Vec<Bytes> =
        model::read_all(&store, 2).unwrap().into_iter().map(|record| record.data).collect();
    assert_eq!(data, [Bytes::from_static(b"other"), Bytes::from_static(b"new")]);
}

// A first life that ends by a power cut, so that the second begins with something.
fn first_life(seed: u64, options: &Options) -> (SimDisk, Model) {
    let disk = SimDisk::new();
    let mut model = Model::default();
    let store = open(&disk, options).unwrap();
    let ran = run(&store, &mut model, 60, &mut Dice::new(seed));
    assert_eq!(ran.error, None);
    drop(store);
    disk.power_cut(&mut Dice::new(seed));
    let model = check(&disk, options, &Model::default(), &ran)
        .unwrap_or_else(|text| panic!("first life, seed {seed}: {text}"));
    (disk.copy(), model)
}

fn second_life(disk: &SimDisk, options: &Options, before: &Model, seed: u64) -> Ran {
    let mut model = before.clone();
    match open(disk, options) {
        Ok(store) => run(&store, &mut model, BATCHES, &mut Dice::new(seed)),
        Err(error) => Ran { batches: Vec::new(), durable: 0, error: Some(error) },
    }
}

// No checkpoint has synced the directory yet, which it does for its own name.
#[test]
fn the_first_batch_of_a_new_journal_outlives_a_power_cut() {
    for seed in 0..30 {
        let disk = SimDisk::new();
        let store = open(&disk, &small()).unwrap();
        let batch = Model::default().next_batch(&mut Dice::new(seed));
        store.sync(submit(&store, &batch).unwrap()).unwrap();
        drop(store);
        disk.power_cut(&mut Dice::new(seed));
        let store = open(&disk, &small()).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        assert_eq!(count(&store), 1, "seed {seed}");
    }
}

fn full() -> bool {
    std::env::var_os("SABIR_FULL").is_some()
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_synced_and_tears_no_batch() {
    cut_at_every(&small(), if full() { 1 } else { 2 });
}

#[test]
fn a_power_cut_at_any_operation_while_everything_is_moved_all_the_time_loses_nothing_either() {
    cut_at_every(&eager(), if full() { 1 } else { 7 });
}

fn cut_at_every(options: &Options, step: usize) {
    let (first, before) = first_life(7, options);
    let disk = first.copy();
    let ran = second_life(&disk, options, &before, 11);
    assert_eq!(ran.error, None);
    let operations = disk.operations().all;
    assert!(operations > 300, "{operations}");
    for at in (1..=operations).step_by(step) {
        let disk = first.copy();
        disk.set_faults(Faults { power_at: Some(at), ..Faults::default() });
        let ran = second_life(&disk, options, &before, 11);
        assert!(ran.error.is_some(), "operation {at}");
        let mut dice = Dice::new(at);
        disk.power_cut(&mut dice);
        // Recovery is interrupted too, some times, and the last one goes through.
        while dice.chance(50) {
            disk.set_faults(Faults { power_at: Some(1 + dice.below(12)), ..Faults::default() });
            let _ = open(&disk, options);
            disk.power_cut(&mut dice);
        }
        let model =
            check(&disk, options, &before, &ran).unwrap_or_else(|text| panic!("operation {at}: {text}"));
        // And goes on as if nothing had happened.
        let mut after = model.clone();
        let store = open(&disk, options).unwrap();
        let more = run(&store, &mut after, 10, &mut dice);
        assert_eq!(more.error, None, "operation {at}");
        after.compare(&store).unwrap_or_else(|text| panic!("operation {at}, later: {text}"));
        store.close().unwrap();
        check(&disk, options, &after, &Ran { batches: Vec::new(), durable: 0, error: None })
            .unwrap_or_else(|text| panic!("operation {at}, after closing: {text}"));
    }
}

// `SABIR_CRASH_SEEDS` in the environment asks for more than the usual number.
#[test]
fn many_seeds_of_power_cuts_lose_nothing() {
    let seeds = std::env::var("SABIR_CRASH_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    for seed in 100..100 + seeds {
        let base = if seed % 3 == 0 { eager() } else { small() };
        let options = Options { checkpoint_bytes: 8 << 10 << (seed % 4), ..base };
        let (disk, before) = first_life(seed, &options);
        let mut dice = Dice::new(seed);
        disk.set_faults(Faults { power_at: Some(1 + dice.below(400)), ..Faults::default() });
        let ran = second_life(&disk, &options, &before, seed + 1);
        disk.power_cut(&mut dice);
        check(&disk, &options, &before, &ran).unwrap_or_else(|text| panic!("seed {seed}: {text}"));
    }
}

#[test]
fn a_kill_loses_nothing_that_was_synced() {
    for options in [small(), eager()] {
        let (first, before) = first_life(21, &options);
        for at in (1..300).step_by(if full() { 1 } else { 13 }) {
            let disk = first.copy();
            disk.set_faults(Faults { power_at: Some(at), ..Faults::default() });
            let ran = second_life(&disk, &options, &before, 22);
            disk.kill();
            check(&disk, &options, &before, &ran).unwrap_or_else(|text| panic!("operation {at}: {text}"));
        }
    }
}

// What a killed process wrote may be in the system's cache alone: recovery sees it and goes on from there. If it did
// not bring it to the medium first, a power cut after that would take it away from under what was confirmed since.
#[test]
fn a_power_cut_after_a_kill_and_a_restart_loses_nothing_that_the_restart_saw() {
    for seed in 60..120 {
        let options = if seed % 2 == 0 { eager() } else { small() };
        let (disk, before) = first_life(seed, &options);
        let mut dice = Dice::new(seed);
        disk.set_faults(Faults { power_at: Some(20 + dice.below(300)), ..Faults::default() });
        let ran = second_life(&disk, &options, &before, seed + 1);
        disk.kill();
        let store = open(&disk, &options).unwrap();
        let mut model = expected(&before, &ran, count(&store));
        let floor = model.batches;
        let more = run(&store, &mut model, 5, &mut dice);
        let last = submit(&store, &model.next_batch(&mut dice)).unwrap();
        store.sync(last).unwrap();
        drop(store);
        disk.power_cut(&mut dice);
        let store = open(&disk, &options).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        assert_eq!((more.error, count(&store)), (None, floor + 6), "seed {seed}");
    }
}

#[test]
fn after_a_failed_write_or_sync_nothing_is_confirmed_any_more_and_a_restart_recovers() {
    for options in [small(), eager()] {
        failures(&options);
    }
}

fn failures(options: &Options) {
    let (first, before) = first_life(31, options);
    let faults = |at: u64| {
        [
            Faults { write_fails: Some(at), ..Faults::default() },
            Faults { sync_fails: Some(at), ..Faults::default() },
        ]
    };
    for fault in (1..80).step_by(if full() { 1 } else { 3 }).flat_map(faults) {
        let disk = first.copy();
        disk.set_faults(fault);
        let mut model = before.clone();
        let Ok(store) = open(&disk, options) else {
            disk.power_cut(&mut Dice::new(1));
            check(&disk, options, &before, &Ran { batches: Vec::new(), durable: 0, error: None }).unwrap();
            continue;
        };
        let ran = run(&store, &mut model, BATCHES, &mut Dice::new(32));
        let error = ran.error.clone().unwrap_or_else(|| panic!("{fault:?} was not noticed"));
        assert_eq!(error.code, ErrorCode::Io, "{fault:?}");
        // The disk would take it now; the journal does not try.
        let batch = before.next_batch(&mut Dice::new(33));
        assert_eq!(model::submit(&store, &batch).unwrap_err().code, ErrorCode::Io, "{fault:?}");
        assert_eq!(store.sync(1).unwrap_err().code, ErrorCode::Io, "{fault:?}");
        assert!(store.close().is_err());
        disk.power_cut(&mut Dice::new(34));
        check(&disk, options, &before, &ran).unwrap_or_else(|text| panic!("{fault:?}: {text}"));
    }
}

#[test]
fn recovery_comes_to_the_same_with_the_checkpoint_and_without() {
    for seed in 40..50 {
        let options = if seed % 2 == 0 { eager() } else { small() };
        let (disk, _) = first_life(seed, &options);
        let with = open(&disk.copy(), &options).unwrap();
        let without = disk.copy();
        without.lose("checkpoint");
        let without = open(&without, &options).unwrap();
        assert!(!without.report().by_pointer);
        assert_eq!(with.summaries(), without.summaries(), "seed {seed}");
        assert_eq!(count(&with), count(&without), "seed {seed}");
    }
}

// Keys that fill more than one piece of a checkpoint, all durable, in a journal that has no checkpoint yet.
fn many_long_keys(disk: &SimDisk, options: &Options) -> sabir_store_journal::Journal {
    use bytes::Bytes;
    use sabir_model::store::{Batch, Level, Op};
    let store = open(disk, options).unwrap();
    let key = |number: u32| Bytes::from(format!("{number:01000}"));
    let puts = (0..600).map(|number| Op::Put { key: key(number), value: Bytes::from_static(b"value") });
    let ticket = submit(&store, &Batch { ops: puts.collect(), level: Level::Durable }).unwrap();
    store.sync(ticket).unwrap();
    store
}

fn keys_of(store: &sabir_store_journal::Journal) -> usize {
    let mut keys = 0;
    let visit = &mut |_: &[u8], _: &[u8]| {
        keys += 1;
        true
    };
    store.scan(b"0", b"1", 0, visit).unwrap();
    keys
}

fn large() -> Options {
    Options { file_bytes: 4 << 20, first_file_bytes: 4 << 20, checkpoint_bytes: 64 << 20, ..small() }
}

// The end of a checkpoint may survive a power cut that its middle does not survive.
#[test]
fn a_first_checkpoint_that_was_torn_by_a_power_cut_is_none() {
    for seed in 0..40 {
        let disk = SimDisk::new();
        let store = many_long_keys(&disk, &large());
        let at_the_sync = Faults { sync_fails: Some(disk.operations().syncs + 1), ..Faults::default() };
        disk.set_faults(at_the_sync);
        assert!(store.checkpoint().is_err());
        drop(store);
        disk.power_cut(&mut Dice::new(seed));
        let store = open(&disk, &large()).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        assert_eq!(keys_of(&store), 600, "seed {seed}");
    }
}

// The system goes on showing what it could not write until somebody looks at the medium.
#[test]
fn a_first_checkpoint_that_only_the_cache_has_after_a_failed_sync_is_none() {
    let disk = SimDisk::new();
    let store = many_long_keys(&disk, &large());
    disk.set_faults(Faults { sync_fails: Some(disk.operations().syncs + 1), ..Faults::default() });
    assert!(store.checkpoint().is_err());
    drop(store);
    disk.kill();
    let store = open(&disk, &large()).unwrap();
    assert_eq!(keys_of(&store), 600);
}
