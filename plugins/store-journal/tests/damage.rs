// SPDX-License-Identifier: Apache-2.0
//! Damage, space and strangers: what is wrong is named, and never taken for something else.

#[path = "damage/maintain.rs"]
mod maintain;
mod model;
mod space;

use bytes::Bytes;
use model::{Model, count, everything, open, read, read_all, run, small, submit};
use sabir_model::store::{Batch, Level, Op, Read, Want};
use sabir_sdk::ErrorCode;
use sabir_sdk::store::Store;
use sabir_store_journal::{Journal, Options};
use sabir_testkit::disk::{Dice, Faults, SimDisk};

// A closed journal, with what it should hold.
fn closed(seed: u64) -> (SimDisk, Model) {
    let disk = SimDisk::new();
    let mut model = Model::default();
    let store = open(&disk, &small()).unwrap();
    assert_eq!(run(&store, &mut model, 80, &mut Dice::new(seed)).error, None);
    store.close().unwrap();
    (disk.copy(), model.reopened())
}

// What a look at everything says: an error, or the first difference.
fn look(disk: &SimDisk, model: &Model) -> Result<(), String> {
    let Ok(store) = open(disk, &small()) else { return Ok(()) };
    let named = !store.report().damaged.is_empty();
    let failed = model.logs.keys().any(|log| read_all(&store, *log).is_err());
    if named || failed {
        return Ok(());
    }
    model.compare(&store)?;
    if store.summaries() == model.summaries() { Ok(()) } else { Err("the summaries differ".to_owned()) }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed_or_harmless() {
    let (clean, model) = closed(1);
    look(&clean.copy(), &model).unwrap();
    let files = clean.files();
    let mut dice = Dice::new(2);
    let mut noticed = 0;
    for round in 0..600 {
        let (name, _) = &files[round % files.len()];
        let used = clean.contents(name).iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let bit = dice.below(used as u64 * 8);
        let disk = clean.copy();
        disk.flip(name, bit);
        look(&disk, &model).unwrap_or_else(|text| panic!("bit {bit} of {name}: {text}"));
        noticed += usize::from(open(&disk, &small()).map_or(true, |store| {
            let report = store.report();
            !report.mended.is_empty() || !report.damaged.is_empty() || report.cut.is_some()
        }));
    }
    assert!(noticed > 20, "{noticed}");
}

#[test]
fn a_flipped_record_costs_that_record_alone_and_is_named() {
    let disk = SimDisk::new();
    let store = open(&disk, &small()).unwrap();
    let body = |n: u64| Bytes::from(format!("body number {n:05} ").repeat(10));
    for n in 0..50 {
        let op = Op::Append {
            log: 1,
            seq: n,
            span: 1,
            format: 0,
            label: Bytes::new(),
            record: [body(n), Bytes::new()],
        };
        store.sync(submit(&store, &Batch { ops: vec![op], level: Level::Durable }).unwrap()).unwrap();
    }
    drop(store);
    disk.kill();
    let found = disk.files().into_iter().find_map(|(name, _)| {
        let needle = b"number 00020";
        let at = disk.contents(&name).windows(needle.len()).position(|window| window == needle)?;
        Some((name, at as u64))
    });
    let (name, at) = found.unwrap();
    disk.flip(&name, at * 8);
    let store = open(&disk, &small()).unwrap();
    assert_eq!(store.report().damaged.len(), 1, "{:?}", store.report());
    assert!(store.report().damaged[0].contains("entry 20 of log 1"), "{:?}", store.report());
    let mut seen = Vec::new();
    let error = store
        .read(&everything(1), &mut |record| {
            seen.push(record.seq);
            true
        })
        .unwrap_err();
    assert_eq!((error.code, seen), (ErrorCode::Corrupt, (0..20).collect()));
    assert!(
        error.message.contains("entry 20 of log 1") && error.message.contains(&name),
        "{}",
        error.message
    );
    let rest = read(&store, &Read { from: 21, ..everything(1) }).unwrap();
    assert!(rest.len() == 29 && rest.iter().all(|record| record.data == body(record.seq)));
}

#[test]
fn damage_in_the_middle_is_never_taken_for_the_tail() {
    let disk = SimDisk::new();
    let store = open(&disk, &small()).unwrap();
    let mut model = Model::default();
    assert_eq!(run(&store, &mut model, 6, &mut Dice::new(5)).error, None);
    let last = submit(&store, &model.next_batch(&mut Dice::new(6))).unwrap();
    store.sync(last).unwrap();
    let after =
        submit(&store, &Batch { ops: vec![Op::Delete { key: Bytes::from("x") }], level: Level::Durable });
    store.sync(after.unwrap()).unwrap();
    drop(store);
    disk.kill();
    let name = disk.files().into_iter().find(|(name, _)| name.starts_with("data-")).unwrap().0;
    let batches = batches_of(&disk, &name);
    // The last batch was written after the one before it was durable, and vouches for it and all before.
    for (index, batch) in batches.iter().enumerate() {
        let damaged = disk.copy();
        // More than its copy and the guard can mend.
        damaged.damage(&name, |bytes| bytes[batch.at..batch.at + 96].fill(0xee));
        let before = damaged.files();
        let opened = open(&damaged, &small());
        if index + 1 == batches.len() {
            assert_eq!(count(&opened.unwrap()), 7);
            continue;
        }
        let error = opened.err().unwrap_or_else(|| panic!("batch {index} was taken for the tail"));
        assert_eq!((error.code, damaged.files()), (ErrorCode::Corrupt, before));
        assert!(error.message.contains(&name) && error.message.contains("known to have been stored"));
        assert!(error.message.contains("repair --accept-loss"), "{}", error.message);
        // On the operator's word everything else is there again, for good.
        let report = maintain::repair(&damaged, true);
        assert_eq!((&report["good"], &report["done"]), (&true.into(), &true.into()), "{report}");
        let store = open(&damaged, &small()).unwrap();
        assert_eq!(count(&store), if index == 6 { 6 } else { 7 }, "batch {index}");
    }
}

struct Place {
    at: usize,
    ops: std::ops::Range<usize>,
    flags: u32,
}

// The batches of a file, one after the other, by their headers.
fn batches_of(disk: &SimDisk, name: &str) -> Vec<Place> {
    let contents = disk.contents(name);
    let number = |at: usize, len: usize| {
        contents[at..at + len].iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (mut found, mut at) = (Vec::new(), 4096);
    while at + 96 < contents.len() {
        if !contents[at..].starts_with(b"SjB1") {
            at += 8;
            continue;
        }
        let (ops, records) = (number(at + 24, 4), number(at + 32, 8));
        let from = at + 96 + ops.min(256.max(ops.div_ceil(256)));
        found.push(Place { at, ops: from..from + ops, flags: number(at + 40, 4) as u32 });
        at = (from + ops + records).next_multiple_of(8);
    }
    found
}

#[test]
fn a_checkpoint_that_is_damaged_beyond_mending_gives_way_to_the_log_before_it() {
    let disk = SimDisk::new();
    let options =
        Options { checkpoint_bytes: 1 << 30, file_bytes: 4 << 20, first_file_bytes: 4 << 20, ..small() };
    let (store, mut model, mut dice) = (open(&disk, &options).unwrap(), Model::default(), Dice::new(8));
    for _ in 0..3 {
        assert_eq!(run(&store, &mut model, 20, &mut dice).error, None);
        store.checkpoint().unwrap();
    }
    assert_eq!(run(&store, &mut model, 5, &mut dice).error, None);
    store.sync(65).unwrap();
    drop(store);
    disk.kill();
    let name = disk.files().into_iter().find(|(name, _)| name.starts_with("data-")).unwrap().0;
    let checkpoints: Vec<Place> =
        batches_of(&disk, &name).into_iter().filter(|batch| batch.flags & 4 != 0).collect();
    assert_eq!(checkpoints.len(), 3);
    for spoilt in 1..=3 {
        let disk = disk.copy();
        for batch in &checkpoints[3 - spoilt..] {
            disk.damage(&name, |bytes| bytes[batch.ops.clone()].fill(0xee));
        }
        let store = open(&disk, &options).unwrap();
        assert!(store.report().mended.iter().any(|line| line.contains("checkpoint is damaged")));
        model.reopened().compare(&store).unwrap_or_else(|text| panic!("{spoilt} checkpoints: {text}"));
        assert_eq!(store.summaries(), model.summaries());
    }
}

// Batches behind the last checkpoint are read only when a consumer wants them.
#[test]
fn a_batch_before_the_checkpoint_that_is_gone_altogether_costs_its_own_entries_alone() {
    let disk = SimDisk::new();
    let store = open(&disk, &small()).unwrap();
    for seq in 0..10 {
        let record = [Bytes::from(vec![7; 300]), Bytes::new()];
        let op = Op::Append { log: 1, seq, span: 1, format: 0, label: Bytes::new(), record };
        store.sync(submit(&store, &Batch { ops: vec![op], level: Level::Durable }).unwrap()).unwrap();
    }
    store.close().unwrap();
    let name = disk.files().into_iter().find(|(name, _)| name.starts_with("data-")).unwrap().0;
    // From behind the record of the batch before it to the record of the one after it.
    let contents = disk.contents(&name);
    let records: Vec<usize> = (1..contents.len() - 300)
        .filter(|at| contents[at - 1] != 7 && contents[*at..at + 300].iter().all(|byte| *byte == 7))
        .collect();
    assert_eq!(records.len(), 10);
    disk.damage(&name, |bytes| bytes[records[3] + 300..records[4] + 300].fill(0));
    let store = open(&disk, &small()).unwrap();
    let mut seen = Vec::new();
    for from in 0..10 {
        if let Ok(found) = read(&store, &Read { from, last: from, ..everything(1) }) {
            seen.extend(found.into_iter().map(|record| record.seq));
        }
    }
    assert_eq!(seen, [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    assert_eq!(read(&store, &Read { from: 5, ..everything(1) }).unwrap().len(), 5);
}

// A process that was paused finishes its write when another has long taken over: what it writes late never counts.
#[test]
fn what_an_earlier_epoch_writes_late_does_not_count() {
    let disk = SimDisk::new();
    let store = open(&disk, &small()).unwrap();
    let append = |store: &Journal, seq| {
        store.sync(submit(store, &big_append(seq)).unwrap()).unwrap();
    };
    (0..3).for_each(|seq| append(&store, seq));
    let taken_over = disk.copy();
    (3..6).for_each(|seq| append(&store, seq));
    let name = disk.files().into_iter().find(|(name, _)| name.starts_with("data-")).unwrap().0;
    let late = disk.contents(&name);
    let store = open(&taken_over, &small()).unwrap();
    append(&store, 100);
    append(&store, 101);
    drop(store);
    taken_over.kill();
    taken_over.damage(&name, |bytes| *bytes = late);
    let store = open(&taken_over, &small()).unwrap();
    let seqs: Vec<u64> = read_all(&store, 1).unwrap().into_iter().map(|record| record.seq).collect();
    assert_eq!(seqs, [0, 1, 2, 100, 101]);
}

// The next file has been made ahead and is empty: it must not be taken for the whole journal.
#[test]
fn a_damaged_header_of_the_only_file_with_batches_is_refused_and_the_file_is_kept() {
    let disk = SimDisk::new();
    let store = open(&disk, &small()).unwrap();
    store.sync(submit(&store, &big_append(0)).unwrap()).unwrap();
    drop(store);
    disk.kill();
    let data: Vec<String> =
        disk.files().into_iter().map(|(name, _)| name).filter(|name| name.starts_with("data-")).collect();
    assert!(data.len() > 1, "{data:?}");
    for bit in [0, 8 * 8, 8 * 33, 8 * 1500] {
        let damaged = disk.copy();
        // The header is there twice.
        [bit, bit + 2048 * 8].iter().for_each(|bit| damaged.flip(&data[0], *bit));
        let before = damaged.files();
        let error = open(&damaged, &small()).err().unwrap_or_else(|| panic!("bit {bit} was not noticed"));
        assert_eq!((error.code, damaged.files()), (ErrorCode::Corrupt, before), "bit {bit}");
        assert!(error.message.contains(&data[0]), "{error:?}");
    }
}

#[test]
fn a_missing_data_file_is_named_and_nothing_is_changed() {
    let (clean, model) = closed(9);
    for (name, _) in clean.files() {
        let disk = clean.copy();
        disk.lose(&name);
        let before = disk.files();
        match open(&disk, &small()) {
            Err(error) => {
                assert_eq!(error.code, ErrorCode::Corrupt, "{name}");
                assert_eq!(disk.files(), before, "{name}");
            }
            Ok(store) => model.compare(&store).unwrap_or_else(|text| panic!("{name}: {text}")),
        }
    }
}

#[test]
fn files_of_another_version_of_another_store_or_of_somebody_else_are_refused_with_advice() {
    let (clean, _) = closed(10);
    let (other, _) = closed(11);
    let name = clean.files().into_iter().rev().find(|(name, _)| name.starts_with("data-")).unwrap().0;
    let refused = |disk: &SimDisk| open(disk, &small()).err().unwrap();

    let disk = clean.copy();
    disk.damage(&name, |bytes| (bytes[8], bytes[2048 + 8]) = (9, 9));
    let error = refused(&disk);
    assert!(error.message.contains("version 9") && error.message.contains("use the program that wrote it"));

    let disk = clean.copy();
    let foreign = other.files().into_iter().rev().find(|(name, _)| name.starts_with("data-")).unwrap().0;
    disk.plant(&foreign, &other.contents(&foreign));
    assert!(refused(&disk).message.contains("different stores"), "{}", refused(&disk).message);

    let disk = SimDisk::new();
    disk.plant("letters.txt", b"dear");
    let error = refused(&disk);
    assert_eq!(error.code, ErrorCode::Config);
    assert!(error.message.contains("letters.txt") && error.message.contains("directory of its own"));

    let disk = clean.copy();
    disk.plant("letters.txt", b"dear");
    let store = open(&disk, &small()).unwrap();
    assert!(store.report().notes.iter().any(|note| note.contains("letters.txt")));
    assert_eq!(open(&disk, &small()).err().unwrap().code, ErrorCode::Locked);
}

fn big_append(seq: u64) -> Batch {
    let record = [Bytes::from(vec![7; 3000]), Bytes::new()];
    let op = Op::Append { log: 1, seq, span: 1, format: 0, label: Bytes::new(), record };
    Batch { ops: vec![op], level: Level::Durable }
}

fn removal(first: u64, last: u64) -> Batch {
    Batch { ops: vec![Op::Remove { log: 1, first, last }], level: Level::Durable }
}

// Appends until the disk is full; answers the next number.
fn fill_up(store: &Journal, mut seq: u64) -> u64 {
    loop {
        match submit(store, &big_append(seq)) {
            Ok(ticket) => store.sync(ticket).unwrap(),
            Err(error) => {
                assert_eq!((error.code, error.retryable), (ErrorCode::Full, true), "{error:?}");
                return seq;
            }
        };
        seq += 1;
    }
}

#[test]
fn on_a_full_disk_removals_pass_and_make_room_again() {
    let disk = SimDisk::new();
    disk.set_faults(Faults { capacity_bytes: Some(1 << 20), ..Faults::default() });
    let store = open(&disk, &small()).unwrap();
    let mut next = 0;
    for round in 0..20 {
        let end = fill_up(&store, next);
        let stored = read(&store, &Read { want: Want::Head { len: 1 }, ..everything(1) }).unwrap().len();
        assert!(stored > 100, "round {round}: {stored} entries");
        // The refused batch had no effect, and one by one the others can go.
        assert_eq!(read_all(&store, 1).unwrap().last().unwrap().seq, end - 1);
        let first = end - stored as u64;
        for seq in first..end {
            store.sync(submit(&store, &removal(seq, seq)).unwrap()).unwrap();
        }
        next = end;
    }
    drop(store);
    disk.power_cut(&mut Dice::new(3));
    disk.set_faults(Faults { capacity_bytes: Some(1 << 20), ..Faults::default() });
    let store = open(&disk, &small()).unwrap();
    assert_eq!(store.summaries()[0].next_seq, next);
    assert!(fill_up(&store, next) > next + 100);
}

#[test]
fn files_are_given_back_and_used_again_while_messages_pass_through() {
    let disk = SimDisk::new();
    let store = open(&disk, &small()).unwrap();
    let mut most = 0;
    // One entry stays for ever; everything else goes.
    for seq in 0..4000 {
        let ticket = submit(&store, &big_append(seq)).unwrap();
        if seq > 10 {
            submit(&store, &removal(seq - 10, seq - 10)).unwrap();
        }
        store.sync(ticket).unwrap();
        let used: u64 = disk.files().iter().map(|(_, len)| len).sum();
        most = most.max(used);
    }
    let stats = store.stats();
    assert!(stats.written_bytes > 12 << 20);
    assert!(most < 3 << 20, "{most} bytes at the most");
    assert_eq!(read_all(&store, 1).unwrap().len(), 11);
}

#[test]
fn a_million_small_messages_cost_little_memory() {
    let disk = SimDisk::new();
    let options =
        Options { file_bytes: 64 << 20, write_buffer_bytes: 1 << 20, checkpoint_bytes: 1 << 30, ..small() };
    let store = open(&disk, &options).unwrap();
    let body = Bytes::from(vec![1; 16]);
    for first in (0..1_000_000).step_by(100) {
        let op = |seq| Op::Append {
            log: 1,
            seq,
            span: 1,
            format: 0,
            label: Bytes::new(),
            record: [body.clone(), Bytes::new()],
        };
        submit(&store, &Batch { ops: (first..first + 100).map(op).collect(), level: Level::Written })
            .unwrap();
    }
    let stats = store.stats();
    assert_eq!(stats.live_records, 1_000_000);
    assert!(stats.index_bytes < 1 << 20, "{}", stats.index_bytes);
}
