// SPDX-License-Identifier: Apache-2.0
//! The store suite's contracts for what a store may offer beside: regions of files, a lock among several openers,
//! copies of itself. A store that stands on this one offers them all; with one fault it must fail the contract that
//! the fault breaks.

use sabir_host::Registry;
use sabir_sdk::store::{
    Batch, BatchOps, Level, LogId, LogSummary, Op, Ops, Read, Record, Region, Stats, Store as Contract, Want,
};
use sabir_sdk::{Error, ErrorCode, Host, Result, abi};
use sabir_store_memory::Memory;
use sabir_testkit::report::Outcome;
use sabir_testkit::store::{Subject, run};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

sabir_sdk::plugin! {
    static PLUGIN: name = "testkit-lending", description = "a store with all that is optional, and its faults",
    stores = [Lending]
}

/// What is wrong with a store.
const FAULTS: [(&str, &str); 6] = [
    ("region-off-by-one", "store.region.bytes"),
    ("region-overwritten", "store.region.pinned"),
    ("region-of-nothing", "store.region.missing"),
    ("two-writers", "store.lock.one-writer"),
    ("same-epoch", "store.lock.one-writer"),
    ("backup-forgets-keys", "store.backup.opens"),
];

/// The memory store, with files for its regions, a lock for everybody who opens the same path, and copies.
struct Lending {
    inner: Memory,
    path: PathBuf,
    fault: String,
    writer: AtomicU64,
    region: Mutex<Option<File>>,
}

/// By path: the epoch, and whether somebody is the writer.
static LOCKS: Mutex<BTreeMap<PathBuf, (u64, bool)>> = Mutex::new(BTreeMap::new());
/// By path: what was copied there.
static COPIES: Mutex<BTreeMap<PathBuf, Vec<Op>>> = Mutex::new(BTreeMap::new());

fn whole(log: LogId) -> Read {
    Read { log, from: 0, last: u64::MAX, max_records: 0, max_bytes: 0, want: Want::All }
}

impl Lending {
    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// A file with the record. With a fault it is the same for all regions.
    fn file_of(&self, record: &[u8]) -> Result<File> {
        let mut shared = self.region.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match shared.take().filter(|_| self.has("region-overwritten")) {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        std::os::unix::fs::FileExt::write_all_at(&file, record, 0)?;
        *shared = Some(file.try_clone()?);
        Ok(file)
    }
}

impl Contract for Lending {
    const NAME: &'static str = "lending";
    const CAPABILITIES: u64 = abi::SABIR_CAP_STORE_REPLACE
        | abi::SABIR_CAP_STORE_REGION
        | abi::SABIR_CAP_STORE_LOCK
        | abi::SABIR_CAP_STORE_BACKUP;

    /// The configuration is the path, a blank, and the fault.
    fn open(host: Host, config: &str) -> Result<Self> {
        let (path, fault) = config.split_once(' ').ok_or_else(|| Error::new(ErrorCode::Config, "no path"))?;
        let inner = Memory::open(host, "")?;
        let copied = COPIES.lock().unwrap().remove(Path::new(path)).unwrap_or_default();
        if !copied.is_empty() {
            let batch = Batch { ops: copied, level: Level::Durable };
            inner.submit(BatchOps::of(&batch).lend(), Level::Durable)?;
        }
        let (path, fault) = (PathBuf::from(path), fault.to_owned());
        Ok(Lending { inner, path, fault, writer: AtomicU64::new(0), region: Mutex::default() })
    }

    fn recover(&self, visit: &mut dyn FnMut(&LogSummary) -> Result<()>) -> Result<()> {
        self.inner.recover(visit)
    }

    fn submit(&self, ops: Ops<'_>, level: Level) -> Result<u64> {
        self.inner.submit(ops, level)
    }

    fn sync(&self, ticket: u64) -> Result<u64> {
        self.inner.sync(ticket)
    }

    fn read(&self, what: &Read, visit: &mut dyn FnMut(Record) -> bool) -> Result<()> {
        self.inner.read(what, visit)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: u64,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        self.inner.scan(from, to, limit, visit)
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }

    fn lock_acquire(&self) -> Result<Option<u64>> {
        let mut locks = LOCKS.lock().unwrap();
        let (epoch, taken) = locks.entry(self.path.clone()).or_default();
        if *taken && !self.has("two-writers") {
            return Ok(None);
        }
        *taken = true;
        *epoch += u64::from(*epoch == 0 || !self.has("same-epoch"));
        self.writer.store(*epoch, Ordering::SeqCst);
        Ok(Some(*epoch))
    }

    fn lock_keep(&self) -> Result<()> {
        match self.writer.load(Ordering::SeqCst) {
            0 => Err(Error::new(ErrorCode::Locked, "another is the writer")),
            _ => Ok(()),
        }
    }

    fn region(&self, log: LogId, seq: u64) -> Result<Region> {
        let mut found = None;
        self.inner.read(&Read { from: seq, last: seq, ..whole(log) }, &mut |record| {
            found = Some(record.data);
            true
        })?;
        let record = match found {
            Some(record) => record,
            None if self.has("region-of-nothing") => Default::default(),
            None => return Err(Error::new(ErrorCode::NotFound, "no such entry")),
        };
        let offset = u64::from(self.has("region-off-by-one"));
        let mut file = self.file_of(&record)?;
        if offset == 1 {
            file.write_all(b"x")
                .and_then(|()| std::os::unix::fs::FileExt::write_all_at(&file, b"y", record.len() as u64))?;
        }
        Ok(Region { file: Box::new(file), offset, len_bytes: record.len() as u64 })
    }

    fn backup(&self, path: &Path) -> Result<()> {
        let mut copied = Vec::new();
        self.inner.read(&whole(1), &mut |record| {
            let Record { seq, span, format, label, data, .. } = record;
            copied.push(Op::Append { log: 1, seq, span, format, label, record: [data, Default::default()] });
            true
        })?;
        if !self.has("backup-forgets-keys") {
            self.inner.scan(&[], &[], 0, &mut |key, value| {
                copied.push(Op::Put { key: key.to_vec().into(), value: value.to_vec().into() });
                true
            })?;
        }
        COPIES.lock().unwrap().insert(path.to_owned(), copied);
        Ok(())
    }

    fn close(self) -> Result<()> {
        if self.writer.load(Ordering::SeqCst) != 0 {
            LOCKS.lock().unwrap().entry(self.path.clone()).and_modify(|(_, taken)| *taken = false);
        }
        self.inner.close()
    }
}

fn report(fault: &'static str) -> sabir_testkit::report::Report {
    let mut registry = Registry::new();
    registry.add(&PLUGIN).unwrap();
    let store = registry.store("lending").unwrap();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lending-{fault}"));
    run(&Subject::new(store.capabilities(), scratch, move |path| {
        store.open_store(&format!("{} {fault}", path.display()))
    }))
}

#[test]
fn a_store_with_all_that_is_optional_keeps_every_contract_and_none_of_them_is_passed_over() {
    let report = report("none");
    assert!(report.all_passed(), "{report}");
    for (_, id) in FAULTS {
        let case = report.cases.iter().find(|case| case.id == id).unwrap();
        assert_eq!(case.outcome, Outcome::Passed, "{id}");
    }
}

#[test]
fn every_fault_fails_the_contract_that_it_breaks() {
    for (fault, id) in FAULTS {
        let report = report(fault);
        let case = report.cases.iter().find(|case| case.id == id).unwrap();
        assert!(matches!(case.outcome, Outcome::Failed(_)), "{id} holds in spite of {fault}\n{report}");
    }
}
