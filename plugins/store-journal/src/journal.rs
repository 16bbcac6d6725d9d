// SPDX-License-Identifier: Apache-2.0
//! A journal from open to close, as the store that the host sees.

use crate::config::{Options, SCHEMA};
use crate::files::{Supply, locked};
use crate::format::file;
use crate::keeper::Keeping;
use crate::maintain;
use crate::recovery::{self, Recovered, Report};
use crate::say;
use crate::shared::{Class, Counters, Orders, Shared, State};
use crate::sys::Directory;
use crate::walk::Walks;
use crate::writer::Writer;
use sabir_model::store::{Level, LogSummary, Read, Record};
use sabir_sdk::disk::{Disk, DiskLock, LockError};
use sabir_sdk::store::{Maintenance, Ops, Stats, Store};
use sabir_sdk::{Error, ErrorCode, Host, Result, abi};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, OnceLock, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

/// A journal.
pub struct Journal {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
    report: Report,
}

impl Journal {
    /// Opens the journal on a disk: the real one, or one that is simulated.
    pub fn open_on(disk: Arc<dyn Disk>, options: Options, host: Host) -> Result<Self> {
        let lock = lock(&*disk)?;
        let began = Instant::now();
        let recovered = recovery::recover(&*disk, &host)?;
        say::info(&host, &recovered.report.pace(began.elapsed()));
        let mut journal = Journal::assemble(disk, options, host, lock, recovered);
        journal.begin()?;
        Ok(journal)
    }

    /// A journal that can be read. Nothing is written before it [begins](Self::begin).
    pub(crate) fn assemble(
        disk: Arc<dyn Disk>,
        options: Options,
        host: Host,
        lock: Box<dyn DiskLock>,
        recovered: Recovered,
    ) -> Self {
        let sizes = [options.first_file_bytes, options.file_bytes];
        let identity = recovered.identity;
        let supply = Supply::new(
            disk.clone(),
            identity.clone(),
            recovered.next_number,
            sizes,
            options.spare_files,
            options.file_bytes * options.move_below_percent / 100,
        );
        let mut writer = Writer::after(recovered.last_batch);
        writer.since_checkpoint = recovered.report.replayed_bytes;
        let state_bytes = recovered.index.state_bytes();
        let state = State { index: recovered.index, files: recovered.files, ..State::default() };
        let shared = Arc::new(Shared {
            host,
            disk,
            options,
            identity,
            supply,
            writer: Mutex::new(writer),
            state: RwLock::new(state),
            failed: OnceLock::new(),
            orders: Mutex::new(Orders::default()),
            wake: Condvar::new(),
            keeping: Mutex::new(Keeping::since(Instant::now())),
            short: AtomicBool::new(false),
            reserve_used: AtomicBool::new(false),
            state_bytes: AtomicU64::new(state_bytes),
            walks: Walks::default(),
            counters: Counters::default(),
            lock,
        });
        Journal { shared, keeper: None, report: recovered.report }
    }

    /// Begins a new epoch with a first file.
    pub(crate) fn begin(&mut self) -> Result<()> {
        let shared = &self.shared;
        let first =
            shared.supply.take(0, false).map_err(|error| cannot(&*shared.disk, "be written", &error))?.0;
        shared.begin_file(&mut locked(&shared.writer), first)?;
        if shared.options.background {
            let shared = shared.clone();
            shared.poke();
            let thread = std::thread::Builder::new().name("journal-keeper".to_owned());
            let keeper = thread.spawn(move || shared.run_keeper());
            self.keeper = Some(keeper.map_err(|error| cannot(&*self.shared.disk, "be kept", &error))?);
        }
        Ok(())
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What recovery found.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Writes a checkpoint now.
    pub fn checkpoint(&self) -> Result<()> {
        self.shared.checkpoint(&mut locked(&self.shared.keeping), false)
    }

    /// The summary of every log that survives.
    pub fn summaries(&self) -> Vec<LogSummary> {
        self.shared.state().index.summaries().collect()
    }

    // Without a keeper's thread what is due is done here.
    fn keep_inline(&self) -> Result<()> {
        if self.shared.options.background { Ok(()) } else { self.shared.keep().map(drop) }
    }

    fn stop_keeper(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            locked(&self.shared.orders).stop = true;
            self.shared.wake.notify_all();
            // A keeper that panicked has nothing more to say.
            let _ = keeper.join();
        }
    }

    fn finish(&self) -> Result<()> {
        let shared = &self.shared;
        shared.check()?;
        shared.sync_files(&mut locked(&shared.writer))?;
        match shared.checkpoint(&mut locked(&shared.keeping), true) {
            // Everything is in the log: the next start reads more of it.
            Err(error) if error.code == ErrorCode::Full => {}
            other => other?,
        }
        // What stays behind is removed by the next start.
        let _ = shared.supply.clear();
        let temporary = shared.state_mut().tails[Class::Temporary as usize].file.take();
        if let Some(file) = temporary {
            let _ = shared.disk.remove(&file.name);
        }
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop_keeper();
    }
}

/// Takes the lock that keeps others out.
pub(crate) fn lock(disk: &dyn Disk) -> Result<Box<dyn DiskLock>> {
    disk.lock(file::LOCK, &format!("process {}", std::process::id())).map_err(|error| match error {
        LockError::Held(by) => {
            let text = format!("the journal in {} is in use by {by}", disk.describe());
            Error::new(ErrorCode::Locked, text)
        }
        LockError::Io(error) => cannot(disk, "be locked", &error),
    })
}

fn cannot(disk: &dyn Disk, what: &str, error: &io::Error) -> Error {
    let code = match error.kind() {
        _ if crate::files::is_full(error) => ErrorCode::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorCode::Denied,
        _ => ErrorCode::Io,
    };
    let hint = match code {
        ErrorCode::Full => ": free some room, or allow more open files",
        ErrorCode::Denied => ": the broker's user must be allowed to write there",
        _ => "",
    };
    Error::new(code, format!("the journal in {} cannot {what}: {error}{hint}", disk.describe()))
}

fn directory(options: &Options) -> Result<Arc<dyn Disk>> {
    let disk = Directory::open(Path::new(&options.path)).map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorCode::Denied,
            _ => ErrorCode::Io,
        };
        Error::new(code, format!("the journal's directory {} cannot be opened: {error}", options.path))
    })?;
    Ok(Arc::new(disk))
}

impl Store for Journal {
    const NAME: &'static str = "journal";
    const CAPABILITIES: u64 =
        abi::SABIR_CAP_STORE_PERSISTENT | abi::SABIR_CAP_STORE_REPLACE | abi::SABIR_CAP_STORE_MAINTAIN;
    const CONFIG_SCHEMA: &'static str = SCHEMA;

    fn open(host: Host, config: &str) -> Result<Self> {
        let options = Options::parse(config)?;
        let disk = directory(&options)?;
        Journal::open_on(disk, options, host)
    }

    fn recover(&self, visit: &mut dyn FnMut(&LogSummary) -> Result<()>) -> Result<()> {
        self.summaries().iter().try_for_each(visit)
    }

    fn submit(&self, ops: Ops<'_>, _level: Level) -> Result<u64> {
        match self.shared.submit(ops) {
            Err(error) if error.code == ErrorCode::Full && !self.shared.options.background => {
                self.shared.keep()?;
                self.shared.submit(ops)
            }
            other => other,
        }
    }

    fn sync(&self, ticket: u64) -> Result<u64> {
        let durable = self.shared.sync(ticket)?;
        self.keep_inline()?;
        Ok(durable)
    }

    fn read(&self, what: &Read, visit: &mut dyn FnMut(Record) -> bool) -> Result<()> {
        self.shared.read(what, visit)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: u64,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        let state = self.shared.state();
        for (key, value) in state.index.scan(from, to).take(limit) {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn stats(&self) -> Stats {
        let shared = &self.shared;
        let (index, files) = {
            let state = shared.state();
            let files: u64 = state.files.values().map(|file| file.disk_bytes()).sum();
            // What of the newest file of temporary logs is there is known to its tail alone.
            (state.index.stats(), files + state.tails[Class::Temporary as usize].end())
        };
        Stats {
            live_records: index.live_records,
            live_bytes: index.live_bytes,
            used_bytes: files + shared.supply.waiting_bytes(),
            free_bytes: shared.disk.free_bytes().unwrap_or(u64::MAX),
            syncs: shared.counters.syncs.load(Relaxed),
            written_bytes: shared.counters.written_bytes.load(Relaxed),
            index_bytes: index.memory_bytes,
        }
    }

    fn maintain(
        host: Host,
        config: &str,
        verb: Maintenance,
        options: &str,
        progress: &mut dyn FnMut(&str, u64, u64) -> bool,
    ) -> Result<String> {
        let wanted = maintain::Wanted::parse(options)?;
        let options = Options::parse(config)?;
        if !Path::new(&options.path).is_dir() {
            let text = format!("there is no journal in {}: it is no directory", options.path);
            return Err(Error::new(ErrorCode::NotFound, text));
        }
        let disk = directory(&options)?;
        maintain::run(disk, options, host, verb, wanted, progress)
    }

    fn close(mut self) -> Result<()> {
        self.stop_keeper();
        self.finish()
    }
}
