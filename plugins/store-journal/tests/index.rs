// SPDX-License-Identifier: Apache-2.0
//! The index against sets and maps, over random operations, with checkpoints between them.

use sabir_store_journal::format::op::{Entry, FarPlace, Op, Ops, Target};
use sabir_store_journal::index::Index;
use sabir_store_journal::index::extent::Region;
use sabir_store_journal::index::state::Progress;
use sabir_testkit::disk::Dice;
use std::collections::BTreeMap;

// What the simplest index knows of an entry: span, length, and the files that keep it.
type Known = (u64, u64, [u32; 2]);

#[derive(Default)]
struct Simple {
    logs: BTreeMap<u64, (u64, BTreeMap<u64, Known>)>,
}

impl Simple {
    fn apply(&mut self, op: &Op<'_>, region: Region) {
        match *op {
            Op::Entry(entry) => self.insert(&entry, region),
            Op::Replace { entry, last } => {
                self.remove(entry.log, entry.seq, last);
                self.insert(&entry, region);
                let next = &mut self.logs.get_mut(&entry.log).unwrap().0;
                *next = (*next).max(last + 1);
            }
            Op::Remove { log, first, last } => self.remove(log, first, last),
            Op::Trim { log, before } if before > 0 => self.remove(log, 0, before - 1),
            _ => {}
        }
    }

    fn insert(&mut self, entry: &Entry<'_>, region: Region) {
        let record_file = match entry.target {
            Target::Here { .. } => region.file,
            Target::There(far) => far.file,
        };
        let (next, entries) = self.logs.entry(entry.log).or_default();
        *next = (*next).max(entry.seq + entry.span);
        entries.insert(entry.seq, (entry.span, entry.len, [region.file, record_file]));
    }

    fn remove(&mut self, log: u64, first: u64, last: u64) {
        if let Some((_, entries)) = self.logs.get_mut(&log) {
            entries.retain(|seq, _| *seq < first || *seq > last);
        }
    }

    fn pins(&self) -> BTreeMap<u32, u64> {
        let mut pins = BTreeMap::new();
        for (_, _, [file, record]) in self.logs.values().flat_map(|(_, entries)| entries.values()) {
            *pins.entry(*file).or_default() += 1;
            if record != file {
                *pins.entry(*record).or_default() += 1;
            }
        }
        pins
    }

    fn compare(&self, index: &Index, context: &str) {
        assert_eq!(index.pins().collect::<BTreeMap<_, _>>(), self.pins(), "{context}: pins");
        for (log, (next, entries)) in &self.logs {
            assert_eq!(index.next_seq(*log), *next, "{context}: next number of log {log}");
            let mut from = 0;
            for (seq, (span, len, files)) in entries {
                let (found, first, extent) =
                    index.next(*log, from).unwrap_or_else(|| panic!("{context}: no {log}/{seq}"));
                assert_eq!(found, *seq, "{context}: log {log}");
                let size = u64::from(extent.sizes.get((seq - first) as usize));
                assert_eq!((extent.span, size), (*span, *len), "{context}: {log}/{seq}");
                assert_eq!([extent.region.file, extent.record_file], *files, "{context}: {log}/{seq}");
                assert!(index.find(*log, *seq).is_some());
                from = seq + 1;
            }
            assert!(index.next(*log, from).is_none(), "{context}: more in log {log}");
        }
        let counts: u64 = index.summaries().flat_map(|log| log.ranges).map(|range| range.count).sum();
        assert_eq!(counts, index.stats().live_records, "{context}");
    }
}

// In a deep backlog nearly all operations are entries that are alike.
fn random_op(dice: &mut Dice, simple: &Simple, file: u32, deep: bool) -> Op<'static> {
    let log = dice.below(3);
    let next = simple.logs.get(&log).map_or(0, |(next, _)| *next);
    if deep && !dice.chance(5) {
        let target = Target::Here { at: 0, linked: false };
        return Op::Entry(Entry { log, seq: next, span: 1, format: 0, label: b"", len: 10, crc: 0, target });
    }
    let gap = if dice.chance(10) { dice.below(200) } else { 0 };
    let span = if dice.chance(5) { 1 + dice.below(9) } else { 1 };
    let varied = if dice.chance(30) { 6 } else { 3 };
    let len = [10, 10, 10, 11, 300, 70_000][dice.below(varied) as usize];
    let many = if dice.chance(5) { 500 } else { 5 };
    let far = FarPlace { epoch: 1, file: file / 2, batch_offset: 0, records_at: 0, at: 0 };
    let target = match dice.below(10) {
        0 => Target::There(far),
        1 => Target::Here { at: 0, linked: true },
        _ => Target::Here { at: 0, linked: false },
    };
    let entry = Entry { log, seq: next + gap, span, format: 0, label: b"", len, crc: 0, target };
    let some = dice.below(next + 1);
    match dice.below(20) {
        0..=12 => Op::Entry(entry),
        13..=16 => Op::Remove { log, first: some, last: some + dice.below(many) },
        17 => Op::Trim { log, before: some / 4 },
        _ => {
            let target = Target::Here { at: 0, linked: false };
            Op::Replace { entry: Entry { seq: some, target, ..entry }, last: some + dice.below(8) }
        }
    }
}

#[test]
fn the_index_knows_what_the_simplest_one_knows_and_a_checkpoint_restores_it() {
    for seed in 0..48 {
        let mut dice = Dice::new(seed);
        let deep = seed % 6 == 5;
        let (mut index, mut simple) = (Index::default(), Simple::default());
        let mut region = Region { file: 1, offset: 4096, len: 0 };
        // A second index that begins with the checkpoint, as a replay would.
        let (mut replayed, mut progress) = (Index::default(), Progress::Done);
        for round in 0..400 {
            region = match dice.below(20) {
                0 => Region { file: region.file + 1, offset: 4096, len: 512 },
                // In a deep backlog every batch is an extent of its own.
                _ => {
                    let len = if deep { 40_000 } else { 64 } + dice.below(2000);
                    Region { offset: region.offset + region.len, len, ..region }
                }
            };
            if round == 150 {
                (replayed, progress) = (Index::default(), Progress::START);
            }
            for _ in 0..1 + dice.below(5) {
                let op = random_op(&mut dice, &simple, region.file, deep);
                simple.apply(&op, region);
                index.apply(&op, region).unwrap();
                replayed.apply(&op, region).unwrap();
            }
            if progress != Progress::Done {
                let mut pieces = Vec::new();
                progress = index.put_state(progress, 300, &mut pieces);
                for op in Ops::new(&pieces) {
                    replayed.apply(&op.unwrap(), region).unwrap();
                }
            }
            // What is deep takes longer to compare.
            if !deep || round % 16 == 15 {
                simple.compare(&index, &format!("seed {seed}, round {round}"));
            }
        }
        assert_eq!(progress, Progress::Done, "seed {seed}");
        simple.compare(&replayed, &format!("seed {seed}, replayed"));
        assert_eq!(replayed.summaries().collect::<Vec<_>>(), index.summaries().collect::<Vec<_>>());
        assert_eq!(replayed.stats().live_bytes, index.stats().live_bytes, "seed {seed}");
    }
}
