// SPDX-License-Identifier: Apache-2.0
//! What every store must do, contract by contract, whoever wrote it and in whatever language.
//!
//! The suite drives a store through the host alone, as the broker does: it knows no plugin and no medium, save that a
//! store which survives keeps its files in a directory that it is told. What a store does not claim is skipped, never
//! failed. [`run`] gives a [`Report`](crate::Report) with one case per contract; the ids are stable.
//!
//! ```text
//!   subject    the store that is looked at, and how to open it
//!   batches    atomic, ordered, tickets                    entries   links, labels, removals, spans, temporary logs
//!   keys       order, ranges                               reading   bounds, parts, large and many
//!   lending    regions of files      taking  locks and copies
//!   surviving  closing, crashing, two openers              damage    flipped bits, missing and cut files
//! ```

mod batches;
mod damage;
mod entries;
mod keys;
mod lending;
mod reading;
mod subject;
mod surviving;
mod taking;

use crate::report::Report;
pub use subject::Subject;
use subject::{Bench, Check};

/// What a store must be able to do for a contract to concern it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Replace,
    NoReplace,
    Survival,
    Region,
    Lock,
    Backup,
}

/// One contract.
struct Contract {
    id: &'static str,
    promise: &'static str,
    needs: Needs,
    case: fn(&Bench<'_>) -> Check,
}

const fn contract(
    id: &'static str,
    needs: Needs,
    promise: &'static str,
    case: fn(&Bench<'_>) -> Check,
) -> Contract {
    Contract { id, promise, needs, case }
}

/// Looks at a store.
pub fn run(subject: &Subject) -> Report {
    let mut report = Report::new();
    let tables = [batches::CONTRACTS, entries::CONTRACTS, keys::CONTRACTS, reading::CONTRACTS];
    let rest = [surviving::CONTRACTS, damage::CONTRACTS, lending::CONTRACTS, taking::CONTRACTS];
    for (number, row) in tables.iter().chain(&rest).flat_map(|table| table.iter()).enumerate() {
        let bench = Bench::new(subject, number);
        let missing = match row.needs {
            Needs::Nothing => None,
            Needs::Replace => (!subject.replaces()).then_some("it does not claim to replace"),
            Needs::NoReplace => subject.replaces().then_some("it claims to replace"),
            Needs::Region => (!subject.has_regions()).then_some("it does not claim to give regions of files"),
            Needs::Lock => (!subject.locks()).then_some("it does not claim to have a lock"),
            Needs::Backup => (!subject.copies()).then_some("it does not claim to copy itself"),
            Needs::Survival => (!subject.survives()).then_some("it does not claim to survive the process"),
        };
        match missing {
            Some(why) => report.skip(row.id, row.promise, why),
            None => report.check(row.id, row.promise, || (row.case)(&bench)),
        }
        bench.clear();
    }
    report
}
