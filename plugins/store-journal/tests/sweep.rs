// SPDX-License-Identifier: Apache-2.0
//! Damage at every byte of a small journal: flipped, cut off there, emptied, gone. It is named, or it does no harm;
//! only a tail that nothing vouches for may be cut. What is left is then what was there some batches before.
//!
//! With `SABIR_FULL` every byte has its turn, otherwise as many as take some seconds.

mod model;

use bytes::Bytes;
use model::{Model, eager, everything, open, read, read_all, run, small, submit};
use sabir_model::store::Read;
use sabir_sdk::ErrorCode;
use sabir_sdk::store::Store;
use sabir_store_journal::Options;
use sabir_testkit::disk::{Dice, SimDisk};

/// Places that are tried in each file, unless all are.
const PLACES: usize = 100;

/// A journal, what it holds, and what it held after each batch before the last, the latest first: nothing when all is
/// vouched for, so that nothing may be cut.
struct Subject {
    disk: SimDisk,
    whole: Model,
    earlier: Vec<Model>,
}

impl Subject {
    /// All of them.
    fn all() -> [Subject; 3] {
        [Subject::closed(&small()), Subject::closed(&eager()), Subject::killed()]
    }

    /// Closed in good order: everything is vouched for.
    fn closed(options: &Options) -> Subject {
        let (disk, mut whole) = (SimDisk::new(), Model::default());
        let store = open(&disk, options).unwrap();
        assert_eq!(run(&store, &mut whole, 12, &mut Dice::new(3)).error, None);
        store.close().unwrap();
        Subject { disk: disk.copy(), whole: whole.reopened(), earlier: Vec::new() }
    }

    /// Its process was killed.
    fn killed() -> Subject {
        let (disk, mut whole) = (SimDisk::new(), Model::default());
        let store = open(&disk, &small()).unwrap();
        let mut dice = Dice::new(4);
        let mut earlier = Vec::new();
        for _ in 0..12 {
            earlier.insert(0, whole.reopened());
            let batch = whole.next_batch(&mut dice);
            store.sync(submit(&store, &batch).unwrap()).unwrap();
            whole.apply(&batch);
        }
        drop(store);
        disk.kill();
        Subject { disk: disk.copy(), whole: whole.reopened(), earlier }
    }

    /// Says whether the damage was noticed, or what was wrong and was not. `lost`: so many of the last batches may be
    /// cut, since their bytes are gone, and with them every sign of them.
    fn look(&self, disk: &SimDisk, lost: usize) -> Result<bool, String> {
        let before = disk.files();
        let store = match open(disk, &small()) {
            Ok(store) => store,
            Err(error) => {
                // Of a file that is gone only its number is known.
                let number = |name: &str| {
                    let number = name.strip_suffix(".sjl")?.rsplit('-').next()?;
                    Some(format!("number {number}"))
                };
                let names = |(name, _): &(String, u64)| {
                    error.message.contains(name.as_str())
                        || number(name).is_some_and(|number| error.message.contains(&number))
                };
                let named = before.iter().chain(&self.disk.files()).any(names);
                return match error.code {
                    ErrorCode::Corrupt if named && disk.files() == before => Ok(true),
                    _ => Err(format!("it does not say what is damaged, or changed it: {error:?}")),
                };
            }
        };
        if !store.report().damaged.is_empty() || !store.report().mended.is_empty() {
            return Ok(true);
        }
        if self.whole.logs.keys().any(|log| read_all(&store, *log).is_err()) {
            return Ok(true);
        }
        let Err(difference) = self.whole.compare(&store) else { return Ok(false) };
        if lost == 1 && store.report().cut.is_none() {
            return Err(difference);
        }
        let is_earlier = self.earlier.iter().take(lost).any(|earlier| earlier.compare(&store).is_ok());
        if is_earlier { Ok(true) } else { Err(difference) }
    }

    /// The places of a file that are tried: of what is written, and a little behind.
    fn places(&self, name: &str) -> Vec<usize> {
        let contents = self.disk.contents(name);
        let used = contents.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let end = (used + 64).min(contents.len());
        let step = if std::env::var_os("SABIR_FULL").is_some() { 1 } else { (end / PLACES).max(1) };
        (0..end).step_by(step).collect()
    }

    /// Tries one kind of damage at all places of all files. Answers how often it was noticed.
    fn sweep(&self, what: &str, lost: usize, damage: impl Fn(&mut Vec<u8>, usize)) -> usize {
        let mut noticed = 0;
        for (name, _) in self.disk.files() {
            for at in self.places(&name) {
                let disk = self.disk.copy();
                disk.damage(&name, |bytes| damage(bytes, at));
                let found = self
                    .look(&disk, lost)
                    .unwrap_or_else(|text| panic!("byte {at} of {name} {what}: {text}"));
                noticed += usize::from(found);
            }
        }
        noticed
    }

    /// Says what is wrong when a flipped byte cost more than the record that it hit, or, of what nothing vouches for,
    /// the last batch.
    fn look_closely(&self, disk: &SimDisk) -> Result<bool, String> {
        let damaged = disk.copy();
        let store = open(disk, &small()).map_err(|error| format!("it does not open: {error:?}"))?;
        let report = store.report();
        if report.cut.is_some() {
            return self.look(&damaged, 1);
        }
        let mut lost: Vec<Bytes> = Vec::new();
        for (log, wanted) in &self.whole.logs {
            for (seq, record) in &wanted.entries {
                let what = Read { from: *seq, last: *seq, ..everything(*log) };
                match read(&store, &what) {
                    Ok(found) if found == [record.clone()] => {}
                    Ok(found) => return Err(format!("entry {seq} of log {log} became {found:?}")),
                    Err(error) => {
                        let name = format!("entry {seq} of log {log}");
                        if !error.message.contains(&name) || !error.message.contains("data-") {
                            return Err(format!("{name} is not named with its file: {error:?}"));
                        }
                        // Entries that are linked have one record.
                        if !lost.contains(&record.data) {
                            lost.push(record.data.clone());
                        }
                    }
                }
            }
        }
        if lost.len() > 1 {
            return Err(format!("{} records are lost, {report:?}", lost.len()));
        }
        let empty = Model { logs: Default::default(), ..self.whole.clone() };
        empty.compare(&store)?;
        Ok(!lost.is_empty() || !report.mended.is_empty() || !report.notes.is_empty())
    }
}

#[test]
fn a_flipped_byte_anywhere_costs_the_record_that_it_hits_alone() {
    for subject in Subject::all() {
        let (mut noticed, mut tried) = (0, 0);
        for (name, _) in subject.disk.files() {
            for at in subject.places(&name) {
                let disk = subject.disk.copy();
                disk.damage(&name, |bytes| bytes[at] ^= 0xff);
                let found = subject.look_closely(&disk);
                let found = found.unwrap_or_else(|text| panic!("byte {at} of {name}: {text}"));
                noticed += usize::from(found);
                tried += 1;
            }
        }
        assert!(noticed > tried / 3, "{noticed} of {tried}");
    }
}

#[test]
fn a_flipped_byte_anywhere_is_named_or_harmless() {
    for subject in Subject::all() {
        assert!(!subject.look(&subject.disk.copy(), 0).unwrap());
        let noticed = subject.sweep("was flipped", 1, |bytes, at| bytes[at] ^= 0xff);
        assert!(noticed > PLACES / 2, "{noticed}");
    }
}

#[test]
fn a_file_that_ends_anywhere_is_named_or_harmless() {
    for subject in Subject::all() {
        let noticed = subject.sweep("was the end", usize::MAX, Vec::truncate);
        assert!(noticed > PLACES / 2, "{noticed}");
    }
}

#[test]
fn zeroes_from_anywhere_on_are_named_or_harmless() {
    for subject in Subject::all() {
        let noticed =
            subject.sweep("and all behind it became zero", usize::MAX, |bytes, at| bytes[at..].fill(0));
        assert!(noticed > PLACES / 2, "{noticed}");
    }
}

#[test]
fn a_missing_file_is_named_or_harmless() {
    for subject in Subject::all() {
        let mut noticed = 0;
        for (name, _) in subject.disk.files() {
            let disk = subject.disk.copy();
            disk.lose(&name);
            noticed +=
                usize::from(subject.look(&disk, 0).unwrap_or_else(|text| panic!("without {name}: {text}")));
        }
        assert!(noticed > 0);
    }
}
