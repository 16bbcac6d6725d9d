// SPDX-License-Identifier: Apache-2.0
//! What the store takes beside what lives in it, and that moving entries changes nothing that anybody sees.

use crate::model::{Model, eager, everything, open, read, read_all, run, small, submit};
use bytes::Bytes;
use sabir_model::store::{Batch, Level, Op, Read, TEMPORARY, Want};
use sabir_sdk::ErrorCode;
use sabir_sdk::store::Store;
use sabir_store_journal::{Journal, Options};
use sabir_testkit::disk::{Dice, Faults, SimDisk};
use std::collections::BTreeMap;

fn batch(ops: Vec<Op>) -> Batch {
    Batch { ops, level: Level::Durable }
}

fn body(log: u64, seq: u64, len: usize) -> Bytes {
    Bytes::from(format!("{log}/{seq};").into_bytes().into_iter().cycle().take(len).collect::<Vec<u8>>())
}

fn append(log: u64, seq: u64, len: usize) -> Op {
    let record = [body(log, seq, len), Bytes::new()];
    let label = Bytes::from(format!("label {seq}"));
    Op::Append { log, seq, span: 1, format: 5, label, record }
}

fn remove(log: u64, first: u64, last: u64) -> Op {
    Op::Remove { log, first, last }
}

fn link(log: u64, seq: u64, from_log: u64, from_seq: u64) -> Op {
    Op::Link { log, seq, from_log, from_seq, label: Bytes::from_static(b"linked") }
}

fn commit(store: &Journal, ops: Vec<Op>) {
    store.sync(submit(store, &batch(ops)).unwrap()).unwrap();
}

// The entries of a log, which must be those that were appended.
fn check(store: &Journal, log: u64, lens: &BTreeMap<u64, usize>) {
    let found = read_all(store, log).unwrap();
    assert_eq!(
        found.iter().map(|record| record.seq).collect::<Vec<_>>(),
        lens.keys().copied().collect::<Vec<_>>()
    );
    for record in found {
        assert_eq!(record.data, body(log, record.seq, lens[&record.seq]), "entry {}", record.seq);
        assert_eq!((record.format, record.label), (5, Bytes::from(format!("label {}", record.seq))));
    }
}

fn disk_bytes(disk: &SimDisk) -> u64 {
    disk.files().iter().map(|(_, len)| len).sum()
}

/// Most bytes that a store of these files may take with so much in it.
fn bound(options: &Options, live: u64) -> u64 {
    2 * live + 2 * options.file_bytes + 2 * (options.reserve_bytes + 8192)
}

#[test]
fn with_one_message_in_a_hundred_kept_for_ever_the_store_takes_less_than_twice_what_lives_and_two_files() {
    let rounds = if std::env::var_os("SABIR_FULL").is_some() { 60_000 } else { 6_000 };
    let (disk, options, mut dice) = (SimDisk::new(), small(), Dice::new(1));
    let mut store = open(&disk, &options).unwrap();
    let (mut kept, mut waiting, mut seq) = (BTreeMap::new(), Vec::new(), 0);
    let mut live = 0;
    for round in 0..rounds {
        let mut ops = Vec::new();
        for _ in 0..1 + dice.below(4) {
            let len = [100, 900, 2000, 5000][dice.below(4) as usize];
            ops.push(append(1, seq, len));
            waiting.push((seq, len));
            live += len as u64;
            seq += 1;
        }
        while waiting.len() > 20 {
            let (seq, len) = waiting.swap_remove(dice.below(20) as usize);
            if dice.chance(1) {
                kept.insert(seq, len);
            } else {
                ops.push(remove(1, seq, seq));
                live -= len as u64;
            }
        }
        commit(&store, ops);
        let stats = store.stats();
        assert_eq!(stats.live_bytes, live, "round {round}");
        assert!(
            stats.used_bytes <= bound(&options, live),
            "round {round}: {} bytes, {live} live",
            stats.used_bytes
        );
        let lock = 64;
        assert!(disk_bytes(&disk) <= stats.used_bytes + lock + 4096, "round {round}");
        if round % (rounds / 4) == rounds / 8 {
            drop(store);
            disk.kill();
            store = open(&disk, &options).unwrap();
        }
    }
    kept.extend(waiting);
    check(&store, 1, &kept);
    let (before, _) = (store.stats().written_bytes, store.checkpoint().unwrap());
    let checkpoint = store.stats().written_bytes - before;
    assert!(checkpoint < live / 20 + 8192, "a checkpoint of {checkpoint} bytes for {live} that live");
}

#[test]
fn what_anybody_sees_is_the_same_while_everything_is_moved_all_the_time() {
    for seed in 0..12 {
        let (disk, mut model, mut dice) = (SimDisk::new(), Model::default(), Dice::new(seed));
        for life in 0..3 {
            let store = open(&disk, &eager()).unwrap();
            model.compare(&store).unwrap_or_else(|text| panic!("seed {seed}, life {life}: {text}"));
            for _ in 0..4 {
                assert_eq!(run(&store, &mut model, 30, &mut dice).error, None, "seed {seed}");
                model.compare(&store).unwrap_or_else(|text| panic!("seed {seed}, life {life}: {text}"));
            }
            assert_eq!(store.summaries(), model.summaries(), "seed {seed}");
            store.close().unwrap();
            model = model.reopened();
        }
    }
}

// Fills some files with entries of which one in `every` stays.
fn sparse(store: &Journal, log: u64, count: u64, every: u64, len: usize) -> BTreeMap<u64, usize> {
    for first in (0..count).step_by(10) {
        commit(store, (first..first + 10).map(|seq| append(log, seq, len)).collect());
    }
    let gone = (0..count).filter(|seq| seq % every != 0).map(|seq| remove(log, seq, seq)).collect();
    store.sync(submit(store, &batch(gone)).unwrap()).unwrap();
    (0..count).step_by(every as usize).map(|seq| (seq, len)).collect()
}

#[test]
fn links_stay_links_when_they_are_moved_whoever_of_them_is_left() {
    let disk = SimDisk::new();
    // Nothing is moved before it is asked for.
    let options = Options { move_below_percent: 0, ..small() };
    let store = open(&disk, &options).unwrap();
    let len = 10_000;
    for seq in 0..60 {
        commit(&store, vec![append(1, seq, len), link(2, seq, 1, seq), append(9, seq, 3000)]);
        commit(&store, vec![link(3, seq, 1, seq)]);
    }
    commit(&store, vec![Op::Trim { log: 9, before: 60 }]);
    // Of some only links are left, of some only one of them, some have all.
    let gone = (0..60).flat_map(|seq| {
        let logs: &[u64] = [&[1, 2, 3][..], &[1], &[1, 2], &[], &[2, 3]][(seq % 5) as usize];
        logs.iter().map(move |log| remove(*log, seq, seq))
    });
    let gone: Vec<Op> = gone.collect();
    commit(&store, gone);
    let records = 48;
    let copied = store.compact(&mut |_| true).unwrap().copied_bytes;
    assert!(copied < (records + 2) * len as u64, "{copied} bytes were copied of {records} records");
    assert_eq!(store.stats().live_bytes, records * len as u64, "links included, each record once");
    let look = |store: &Journal| {
        for log in [1, 2, 3] {
            let keeps = |seq: &u64| match seq % 5 {
                0 => false,
                1 => log != 1,
                2 => log == 3,
                3 => true,
                _ => log == 1,
            };
            let found = read_all(store, log).unwrap();
            let expected: Vec<u64> = (0..60).filter(keeps).collect();
            assert_eq!(found.iter().map(|record| record.seq).collect::<Vec<_>>(), expected, "log {log}");
            assert!(found.iter().all(|record| record.data == body(1, record.seq, len)), "log {log}");
        }
    };
    look(&store);
    drop(store);
    disk.kill();
    look(&open(&disk, &options).unwrap());
}

#[test]
fn purging_a_full_store_on_a_full_disk_takes_no_more_room_and_gives_it_back() {
    for one_by_one in [false, true] {
        let disk = SimDisk::new();
        let capacity = 2 << 20;
        disk.set_faults(Faults { capacity_bytes: Some(capacity), ..Faults::default() });
        let store = open(&disk, &small()).unwrap();
        let mut seq = 0;
        let full = loop {
            match submit(&store, &batch(vec![append(1, seq, 3000)])) {
                Ok(ticket) => store.sync(ticket).unwrap(),
                Err(error) => break error,
            };
            seq += 1;
        };
        assert_eq!((full.code, full.retryable), (ErrorCode::Full, true));
        let most = store.stats().used_bytes;
        if one_by_one {
            for gone in 0..seq {
                commit(&store, vec![remove(1, gone, gone)]);
                let used = store.stats().used_bytes;
                // One file may be needed to empty another.
                assert!(
                    used <= most + small().file_bytes,
                    "{used} bytes after {gone} of {seq}, {most} before"
                );
            }
        } else {
            commit(&store, vec![Op::Trim { log: 1, before: seq }]);
            assert!(store.stats().used_bytes <= most);
        }
        for more in seq..seq + 50 {
            commit(&store, vec![append(1, more, 3000)]);
        }
        assert!(store.stats().used_bytes <= bound(&small(), 150_000), "{}", store.stats().used_bytes);
    }
}

#[test]
fn on_a_full_disk_entries_are_moved_to_make_room_for_more() {
    let disk = SimDisk::new();
    disk.set_faults(Faults { capacity_bytes: Some(3 << 20), ..Faults::default() });
    let store = open(&disk, &small()).unwrap();
    let mut seq = 0;
    while let Ok(ticket) = submit(&store, &batch(vec![append(1, seq, 3000)])) {
        store.sync(ticket).unwrap();
        seq += 1;
    }
    // One in four stays, so that no file is empty.
    for gone in (0..seq).filter(|seq| seq % 4 != 0) {
        commit(&store, vec![remove(1, gone, gone)]);
    }
    let kept: BTreeMap<u64, usize> = (0..seq).step_by(4).map(|seq| (seq, 3000)).collect();
    check(&store, 1, &kept);
    let mut more = 0;
    while let Ok(ticket) = submit(&store, &batch(vec![append(2, more, 3000)])) {
        store.sync(ticket).unwrap();
        more += 1;
    }
    assert!(more > seq / 3, "{more} more after {seq} of which a quarter stayed");
    check(&store, 1, &kept);
}

#[test]
fn files_that_wait_to_be_used_again_do_not_outlive_the_room_they_were_promised() {
    let disk = SimDisk::new();
    let store = open(&disk, &small()).unwrap();
    let mut live = 0;
    for seq in 0..600 {
        commit(&store, vec![append(1, seq, 3000)]);
        live += 3000;
    }
    // First those in the midst: their files wait as long as so much lives. Then the others.
    for gone in (100..500).chain(0..100).chain(500..600) {
        commit(&store, vec![remove(1, gone, gone)]);
        live -= 3000;
        let used = store.stats().used_bytes;
        assert!(used <= bound(&small(), live), "{used} bytes while {live} live");
    }
}

#[test]
fn a_queue_that_is_kept_short_fills_the_same_files_again_and_again() {
    let disk = SimDisk::new();
    let store = open(&disk, &small()).unwrap();
    let written = || [disk.operations().written_bytes, store.stats().written_bytes];
    let mut before = [0, 0];
    for seq in 0..4000 {
        if seq == 1000 {
            before = written();
        }
        commit(&store, vec![append(1, seq, 1000)]);
        if seq >= 10 {
            commit(&store, vec![remove(1, seq - 10, seq - 10)]);
        }
    }
    let [disk_bytes, log_bytes] = [0, 1].map(|at| written()[at] - before[at]);
    assert!(log_bytes > 10 * small().file_bytes, "{log_bytes}");
    assert!(disk_bytes < log_bytes * 11 / 10, "{disk_bytes} bytes written for {log_bytes} of log");
}

#[test]
fn acknowledgements_never_keep_a_file() {
    let disk = SimDisk::new();
    let store = open(&disk, &small()).unwrap();
    commit(&store, vec![append(1, 0, 1000), append(2, 0, 1000)]);
    let mut most = 0;
    for seq in 1..6000 {
        // A batch of acknowledgements alone; what they take away is in the batch before.
        let label = Bytes::from(vec![7; 300]);
        let record = [Bytes::from_static(b"x"), Bytes::new()];
        let op = Op::Append { log: 1, seq, span: 1, format: 0, label, record };
        commit(&store, vec![op]);
        commit(&store, vec![remove(1, seq, seq)]);
        most = most.max(store.stats().used_bytes);
    }
    assert!(store.stats().written_bytes > 5 << 20, "{}", store.stats().written_bytes);
    assert!(most <= bound(&small(), 2000), "{most}");
}

#[test]
fn the_last_entries_of_temporary_logs_keep_no_file_either() {
    let disk = SimDisk::new();
    let store = open(&disk, &small()).unwrap();
    let log = TEMPORARY | 3;
    let (mut kept, mut most) = (BTreeMap::new(), 0);
    for seq in 0..3000 {
        commit(&store, vec![append(log, seq, 3000)]);
        if seq % 100 == 0 {
            kept.insert(seq, 3000);
        } else {
            commit(&store, vec![remove(log, seq, seq)]);
        }
        most = most.max(store.stats().used_bytes);
    }
    check(&store, log, &kept);
    assert!(most < bound(&small(), 0) + bound(&small(), 90_000), "{most}");
    drop(store);
    disk.kill();
    let store = open(&disk, &small()).unwrap();
    assert!(read_all(&store, log).unwrap().is_empty());
}

#[test]
fn compacting_tells_how_far_it_is_and_can_be_ended() {
    let disk = SimDisk::new();
    let options = Options { move_below_percent: 0, ..small() };
    let store = open(&disk, &options).unwrap();
    let kept = sparse(&store, 1, 1000, 3, 2000);
    let live = store.stats().live_bytes;
    let mut calls = 0;
    let begun = store.compact(&mut |_| {
        calls += 1;
        calls < 2
    });
    assert_eq!((begun.unwrap().live_bytes, calls), (live, 2));
    let mut last = 0;
    let done = store
        .compact(&mut |so_far| {
            assert!(so_far.copied_bytes >= last);
            last = so_far.copied_bytes;
            true
        })
        .unwrap();
    assert!(done.used_bytes < done.used_before && done.copied_bytes == last, "{done:?}");
    assert!(done.used_bytes < live * 11 / 10 + 3 * options.file_bytes, "{done:?} with {live} live");
    check(&store, 1, &kept);
    assert_eq!(store.compact(&mut |_| true).unwrap().copied_bytes, 0, "nothing is left to do");
    drop(store);
    disk.power_cut(&mut Dice::new(5));
    check(&open(&disk, &options).unwrap(), 1, &kept);
}

#[test]
fn an_entry_that_cannot_be_read_keeps_its_file_and_nothing_else() {
    let disk = SimDisk::new();
    let options = Options { move_below_percent: 0, ..small() };
    let store = open(&disk, &options).unwrap();
    let kept = sparse(&store, 1, 1000, 10, 2000);
    let damaged = 500;
    let needle = body(1, damaged, 2000);
    let place = disk.files().into_iter().find_map(|(name, _)| {
        let contents = disk.contents(&name);
        let at = contents.windows(needle.len()).position(|window| window == needle)?;
        Some((name, at as u64))
    });
    let (name, at) = place.unwrap();
    disk.flip(&name, at * 8);
    let done = store.compact(&mut |_| true).unwrap();
    assert!(done.used_bytes < done.used_before, "{done:?}");
    let error = read_all(&store, 1).unwrap_err();
    assert!(error.message.contains("entry 500 of log 1") && error.message.contains(&name), "{error:?}");
    for range in [0..damaged, damaged + 1..1000] {
        let what = Read { from: range.start, last: range.end - 1, ..everything(1) };
        let found = read(&store, &what).unwrap();
        assert_eq!(found.len(), kept.range(range).count());
    }
}

#[test]
fn readers_see_every_entry_while_it_is_being_moved() {
    let disk = SimDisk::new();
    let options =
        Options { background: true, move_bytes_per_second: 1 << 40, checkpoint_interval_ms: 10, ..eager() };
    let store = open(&disk, &options).unwrap();
    let kept = sparse(&store, 1, 600, 6, 1500);
    let reading = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while reading.load(std::sync::atomic::Ordering::Relaxed) {
                    check(&store, 1, &kept);
                    let bounded = Read { max_records: 40, ..everything(1) };
                    assert_eq!(read(&store, &bounded).unwrap().len(), 40);
                    let part = Read { from: 300, want: Want::Range { offset: 10, len: 20 }, ..everything(1) };
                    assert_eq!(read(&store, &part).unwrap()[0].data, body(1, 300, 1500).slice(10..30));
                }
            });
        }
        for round in 0..40 {
            let log = 10 + round;
            commit(&store, (0..100).map(|seq| append(log, seq, 1500)).collect());
            commit(&store, vec![remove(log, 1, 99)]);
            // What the readers read goes on its way again.
            store.compact(&mut |_| true).unwrap();
        }
        reading.store(false, std::sync::atomic::Ordering::Relaxed);
    });
    check(&store, 1, &kept);
}
