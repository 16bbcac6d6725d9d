// SPDX-License-Identifier: Apache-2.0
//! Looking after a damaged journal: what is wrong is told and nothing is changed, until it is said that it may be lost.

use super::model::{Model, open, read_all, small, submit};
use super::{closed, everything};
use bytes::Bytes;
use sabir_model::store::{Batch, Level, Op};
use sabir_sdk::store::{Maintenance, Store};
use sabir_sdk::{Error, ErrorCode, Host};
use sabir_store_journal::maintain::{Wanted, run};
use sabir_testkit::disk::{Dice, SimDisk};
use serde_json::Value;
use std::sync::Arc;

fn look_after(disk: &SimDisk, verb: Maintenance, accept_loss: bool) -> Result<Value, Error> {
    let wanted = Wanted { accept_loss };
    let disk = Arc::new(disk.clone());
    let report = run(disk, small(), Host::none(), verb, wanted, &mut |_, _, _| true)?;
    Ok(serde_json::from_str(&report).unwrap())
}

fn check(disk: &SimDisk) -> Value {
    look_after(disk, Maintenance::Check, false).unwrap()
}

pub fn repair(disk: &SimDisk, accept_loss: bool) -> Value {
    look_after(disk, Maintenance::Repair, accept_loss).unwrap()
}

/// The files besides the lock, whose text names who had it last.
fn contents(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let names = disk.files().into_iter().map(|(name, _)| name).filter(|name| name != "lock");
    names.map(|name| (name.clone(), disk.contents(&name))).collect()
}

fn list<'v>(report: &'v Value, name: &str) -> &'v Vec<Value> {
    report[name].as_array().unwrap()
}

fn entry(log: u64, seq: u64, text: &str) -> Op {
    let record = [Bytes::copy_from_slice(text.as_bytes()), Bytes::new()];
    Op::Append { log, seq, span: 1, format: 0, label: Bytes::new(), record }
}

fn commit(store: &sabir_store_journal::Journal, ops: Vec<Op>) {
    let ticket = submit(store, &Batch { ops, level: Level::Durable }).unwrap();
    store.sync(ticket).unwrap();
}

/// Twenty entries in a batch each, and a removal in the tenth of them; killed, so that no checkpoint covers them.
fn killed() -> SimDisk {
    let disk = SimDisk::new();
    let store = open(&disk, &small()).unwrap();
    for seq in 0..20 {
        let mut ops = vec![entry(1, seq, &format!("body number {seq:05} {}", "x".repeat(300)))];
        if seq == 10 {
            ops.push(Op::Remove { log: 1, first: 3, last: 3 });
        }
        commit(&store, ops);
    }
    drop(store);
    disk.kill();
    disk
}

/// The file that has these bytes, and where.
fn find(disk: &SimDisk, needle: &[u8]) -> (String, u64) {
    let found = disk.files().into_iter().find_map(|(name, _)| {
        let at = disk.contents(&name).windows(needle.len()).position(|window| window == needle)?;
        Some((name, at as u64))
    });
    found.unwrap()
}

fn seqs(disk: &SimDisk) -> Vec<u64> {
    let store = open(disk, &small()).unwrap();
    read_all(&store, 1).unwrap().into_iter().map(|record| record.seq).collect()
}

#[test]
fn a_good_journal_is_found_good_and_is_not_touched() {
    for seed in 20..24 {
        let (disk, model) = closed(seed);
        let before = contents(&disk);
        let report = check(&disk);
        assert_eq!(report["good"], true, "{report}");
        let entries: usize = model.logs.values().map(|log| log.entries.len()).sum();
        assert_eq!(report["figures"]["entries"], entries, "{report}");
        let repaired = repair(&disk, true);
        assert_eq!((&repaired["good"], &repaired["done"]), (&true.into(), &false.into()), "{repaired}");
        assert!(contents(&disk) == before, "nothing was changed");
        model.compare(&open(&disk, &small()).unwrap()).unwrap();
    }
}

#[test]
fn a_journal_that_is_open_is_left_alone() {
    let disk = SimDisk::new();
    let store = open(&disk, &small()).unwrap();
    for verb in [Maintenance::Check, Maintenance::Repair] {
        assert_eq!(look_after(&disk, verb, true).unwrap_err().code, ErrorCode::Locked);
    }
    drop(store);
    let (newer, _) = closed(30);
    let name = newer.files().into_iter().rev().find(|(name, _)| name.starts_with("data-")).unwrap().0;
    newer.damage(&name, |bytes| (bytes[8], bytes[2048 + 8]) = (9, 9));
    let error = look_after(&newer, Maintenance::Repair, true).unwrap_err();
    assert!(error.message.contains("version 9"), "another version is no damage: {}", error.message);
}

#[test]
fn a_damaged_record_is_told_with_what_can_be_read_of_it_and_goes_when_that_may_be() {
    let disk = killed();
    let (name, at) = find(&disk, b"number 00005");
    disk.flip(&name, at * 8);
    let before = contents(&disk);
    let report = check(&disk);
    let [damaged] = &list(&report, "damaged")[..] else { panic!("{report}") };
    assert_eq!((&damaged["log"], &damaged["seq"]), (&1.into(), &5.into()), "{report}");
    assert!(damaged["what"].as_str().unwrap().contains(&name), "{report}");
    let front = damaged["front"].as_str().unwrap();
    let rest: String = b"umber 00005".iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(front.contains(&rest), "{front}");
    let asked = repair(&disk, false);
    assert_eq!(
        (&asked["good"], &asked["done"], list(&asked, "lost").len()),
        (&false.into(), &false.into(), 1)
    );
    assert!(contents(&disk) == before, "nothing was changed so far");
    let done = repair(&disk, true);
    assert_eq!((&done["good"], &done["done"]), (&true.into(), &true.into()), "{done}");
    let [moved] = &list(&done, "moved")[..] else { panic!("{done}") };
    let kept = disk.contents(moved["to"].as_str().unwrap());
    assert!(before.iter().any(|(_, bytes)| *bytes == kept), "the damaged file is kept as it was");
    assert_eq!(seqs(&disk), [0, 1, 2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    assert_eq!(check(&disk)["good"], true);
}

/// Damages the n-th batch of the only file with entries, so that the journal does not open.
fn break_batch(disk: &SimDisk, number: usize) -> String {
    let (name, _) = find(disk, b"number 00000");
    let bytes = disk.contents(&name);
    // Each header is there twice.
    let starts: Vec<usize> =
        (0..bytes.len()).step_by(8).filter(|at| bytes[*at..].starts_with(b"SjB1")).step_by(2).collect();
    // The guard of the operations, and the first of these: its checksum does not fit any more.
    let ops_len = u32::from_le_bytes(bytes[starts[number] + 24..][..4].try_into().unwrap());
    disk.flip(&name, (starts[number] as u64 + 96) * 8);
    disk.flip(&name, (starts[number] as u64 + 96 + u64::from(ops_len) + 1) * 8);
    assert_eq!(open(disk, &small()).err().unwrap().code, ErrorCode::Corrupt);
    name
}

#[test]
fn batches_that_are_gone_cost_what_they_stored_and_what_they_removed_is_there_again() {
    let disk = killed();
    let name = break_batch(&disk, 10);
    let before = contents(&disk);
    let report = check(&disk);
    assert_eq!((&report["good"], list(&report, "damaged").len()), (&false.into(), 1), "{report}");
    let asked = repair(&disk, false);
    assert!(contents(&disk) == before);
    let lost = list(&asked, "lost");
    assert!(lost[0]["what"].as_str().unwrap().contains("batch 11 is missing or damaged"), "{asked}");
    assert!(lost[0]["where"].as_str().unwrap().contains(&name), "{asked}");
    let done = repair(&disk, true);
    assert_eq!((&done["good"], &done["done"]), (&true.into(), &true.into()), "{done}");
    // The batch stored entry 10, and removed entry 3.
    assert_eq!(seqs(&disk), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    assert_eq!(check(&disk)["good"], true, "{}", check(&disk));
    let store = open(&disk, &small()).unwrap();
    commit(&store, vec![entry(1, 20, "and it goes on")]);
    drop(store);
    disk.kill();
    assert_eq!(seqs(&disk).last(), Some(&20));
}

#[test]
fn what_a_missing_file_held_is_named_entry_by_entry_as_far_as_that_is_known() {
    let disk = killed();
    let store = open(&disk, &small()).unwrap();
    commit(&store, vec![entry(2, 0, "in another file")]);
    store.close().unwrap();
    let (name, _) = find(&disk, b"number 00000");
    disk.lose(&name);
    assert_eq!(open(&disk, &small()).err().unwrap().code, ErrorCode::Corrupt);
    let done = repair(&disk, true);
    assert_eq!(done["done"], true, "{done}");
    let lost: Vec<u64> = list(&done, "lost").iter().filter_map(|item| item["seq"].as_u64()).collect();
    assert_eq!(lost, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19], "{done}");
    let store = open(&disk, &small()).unwrap();
    assert_eq!(read_all(&store, 1).unwrap(), []);
    assert_eq!(read_all(&store, 2).unwrap().len(), 1);
    assert_eq!(store.summaries()[0].next_seq, 20, "its numbers are not given again");
}

#[test]
fn whatever_is_flipped_repair_makes_it_open_and_keeps_what_was_not_hit() {
    let full = std::env::var_os("SABIR_FULL").is_some();
    let mut dice = Dice::new(40);
    for round in 0..if full { 3_000 } else { 40 } {
        let (clean, model) = closed(50 + round % 7);
        let files = clean.files();
        let (name, _) = &files[round as usize % files.len()];
        let used = clean.contents(name).iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let bit = dice.below(used as u64 * 8);
        clean.flip(name, bit);
        let told = match look_after(&clean, Maintenance::Repair, true) {
            Ok(told) => told,
            // A flipped version looks like another version, and is.
            Err(error) => {
                assert!(error.message.contains("version"), "bit {bit} of {name}: {}", error.message);
                continue;
            }
        };
        assert_eq!(told["good"], true, "bit {bit} of {name}: {told}");
        let store = open(&clean, &small()).unwrap_or_else(|error| panic!("bit {bit} of {name}: {error:?}"));
        same_or_lost(&store, &model, list(&told, "lost").is_empty())
            .unwrap_or_else(|text| panic!("bit {bit} of {name}: {text}; {told}"));
        drop(store);
        assert_eq!(check(&clean)["good"], true, "bit {bit} of {name}");
    }
}

/// What is there is as it was stored; if nothing is said to be lost, nothing is.
fn same_or_lost(
    store: &sabir_store_journal::Journal,
    model: &Model,
    nothing_lost: bool,
) -> Result<(), String> {
    if nothing_lost {
        return model.compare(store);
    }
    for (id, log) in &model.logs {
        let mut found = Vec::new();
        store
            .read(&everything(*id), &mut |record| {
                found.push(record);
                true
            })
            .map_err(|error| format!("log {id}: {}", error.message))?;
        for record in found {
            // Those that had been removed may be there again, those that had been replaced (what replaces has no label) too.
            let stored = log.entries.get(&record.seq).filter(|stored| !stored.label.is_empty());
            if stored.is_some_and(|stored| *stored != record) {
                return Err(format!("entry {} of log {id} is another", record.seq));
            }
        }
    }
    Ok(())
}
