// SPDX-License-Identifier: Apache-2.0
//! Reads everything: the log's batches, every record that an entry has, and the index of the last checkpoint against one
//! that is made anew from as far back as the log is there. Changes nothing but the lock's text.

use super::report::{FRONT_BYTES, Item, Report, TOLD};
use super::{Progress, stopped};
use crate::config::Options;
use crate::index::Index;
use crate::journal::Journal;
use crate::recovery;
use sabir_model::store::{Read, Want};
use sabir_sdk::disk::{Disk, DiskLock};
use sabir_sdk::{ErrorCode, Host, Result};
use std::sync::Arc;

/// Entries, and bytes of them, that are read at a time.
const PAGE_ENTRIES: u64 = 4_096;
const PAGE_BYTES: u64 = 4 << 20;

/// Looks at all of a journal.
pub fn check(
    disk: Arc<dyn Disk>,
    options: Options,
    host: Host,
    lock: Box<dyn DiskLock>,
    progress: &mut Progress<'_>,
) -> Result<Report> {
    let mut report = Report::default();
    if !progress("reading the log", 0, 0) {
        return Err(stopped());
    }
    // Whoever knows another version, or mixes stores, must be told and not helped.
    recovery::belongs_together(&*disk)?;
    let recovered = match recovery::examine(&*disk, &host) {
        Ok(recovered) => recovered,
        Err(error) if error.code == ErrorCode::Corrupt => {
            let costs = Some("the store does not open".to_owned());
            report.damaged.push(Item { what: error.message, costs, ..Item::default() });
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    let found = &recovered.report;
    report.notes.extend(found.notes.iter().chain(&found.mended).chain(&found.cut).cloned());
    report.figures.insert("files", recovered.files.len() as u64);
    report.figures.insert("batches", found.batches);
    report.figures.insert("log_bytes", found.replayed_bytes);
    if let Some(rebuilt) = recovery::rebuild(&*disk)? {
        compare(&recovered.index, &rebuilt, &mut report);
    }
    let journal = Journal::assemble(disk, options, host, lock, recovered);
    let entries = verify(&journal, progress, &mut |item| tell(&mut report.damaged, item))?;
    report.figures.insert("entries", entries);
    report.good = report.damaged.is_empty();
    Ok(report)
}

fn tell(list: &mut Vec<Item>, item: Item) {
    if list.len() < TOLD {
        list.push(item);
    } else if list.len() == TOLD {
        list.push(Item { what: "and more".to_owned(), ..Item::default() });
    }
}

/// Reads every entry of every log, and shows those that cannot be read. Answers how many there are.
pub fn verify(journal: &Journal, progress: &mut Progress<'_>, visit: &mut dyn FnMut(Item)) -> Result<u64> {
    let shared = journal.shared();
    let summaries = journal.summaries();
    let total: u64 = summaries.iter().flat_map(|log| &log.ranges).map(|range| range.bytes).sum();
    let (mut entries, mut bytes) = (0, 0);
    for summary in &summaries {
        let (log, mut from) = (summary.log, 0);
        loop {
            let what = Read {
                log,
                from,
                last: u64::MAX,
                max_records: PAGE_ENTRIES,
                max_bytes: PAGE_BYTES,
                want: Want::All,
            };
            let mut last = None;
            let read = shared.read(&what, &mut |record| {
                last = Some(record.seq);
                entries += 1;
                bytes += record.total_len;
                true
            });
            let next = last.map_or(Some(from), |seq| seq.checked_add(1));
            from = match (read, next) {
                (Ok(()), _) if last.is_none() => break,
                (_, None) => break,
                (Ok(()), Some(next)) => next,
                (Err(error), Some(next)) if error.code == ErrorCode::Corrupt => {
                    let damaged = shared.state().index.next(log, next).map(|(seq, ..)| seq);
                    // It is said to be damaged, so it exists.
                    let Some(seq) = damaged else { break };
                    let front = shared.front_unverified(log, seq, FRONT_BYTES);
                    visit(Item::entry(log, seq, &error.message, front.as_deref()));
                    entries += 1;
                    match seq.checked_add(1) {
                        Some(after) => after,
                        None => break,
                    }
                }
                (Err(error), _) => return Err(error),
            };
            if !progress("reading entries", bytes, total) {
                return Err(stopped());
            }
        }
    }
    Ok(entries)
}

/// Tells in which logs and keys two indexes differ.
fn compare(index: &Index, rebuilt: &Index, report: &mut Report) {
    report.figures.insert("rebuilt_entries", rebuilt.stats().live_records);
    let mut differ = |what: String| {
        let costs = Some("the checkpoint and the log do not say the same".to_owned());
        tell(&mut report.damaged, Item { what, costs, ..Item::default() });
    };
    let by_log = |index: &Index| {
        index.summaries().map(|log| (log.log, log)).collect::<std::collections::BTreeMap<_, _>>()
    };
    let (ours, theirs) = (by_log(index), by_log(rebuilt));
    for log in ours.keys().chain(theirs.keys().filter(|log| !ours.contains_key(log))) {
        if ours.get(log) != theirs.get(log) {
            differ(format!("the index of log {log} is not what the log yields"));
        }
    }
    if !index.scan(&[], &[]).eq(rebuilt.scan(&[], &[])) {
        differ("the index of keys is not what the log yields".to_owned());
    }
}
