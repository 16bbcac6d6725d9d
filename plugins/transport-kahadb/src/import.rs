// SPDX-License-Identifier: Apache-2.0
//! What is sent, in which order, and where it goes on after it was interrupted.
//!
//! Messages go in batches, each a transaction that also sends a *mark* with its number to a queue of the import's own and
//! takes the mark before it: whatever the broker has stored, the mark says how far. An import that is run again begins
//! behind it; the same directory gives the same batches. The last mark goes when it is noted elsewhere that all was sent, in
//! a run of its own: without it, one that is run again would begin anew.

mod branches;
mod marks;
mod topics;

use crate::Settings;
use crate::client::{Client, Failure};
use crate::kaha::entry::Entry;
use crate::kaha::files::{self, Location, LogFile};
use crate::kaha::replay::{self, Name, Replay, Stored};
use crate::link::Door;
use crate::message::{self, StoredReader};
use crate::report::{Report, Reporter};
use marks::Marks;
use sabir_protocol_openwire::codec::{
    Command, Destination, DestinationInfo, Message, TransactionId, TransactionInfo,
};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Messages of one batch, and bytes of them.
const BATCH_MESSAGES: usize = 500;
const BATCH_BYTES: u64 = 4 << 20;

/// The client id of the import's own connection.
const CLIENT_ID: &str = "sabir-kahadb-import";
/// Topics that are the broker's own.
const ADVISORIES: &str = "ActiveMQ.Advisory.";

/// Why an import ended early.
type Ended = String;

/// The directories that are read, with their files open.
struct Source {
    logs: HashMap<u32, PathBuf>,
    open: HashMap<u32, File>,
    reader: StoredReader,
}

impl Source {
    fn new(logs: Vec<LogFile>) -> Self {
        let logs = logs.into_iter().map(|log| (log.number, log.path)).collect();
        Source { logs, open: HashMap::new(), reader: StoredReader::default() }
    }

    /// The record at a place.
    fn record(&mut self, location: Location) -> std::io::Result<Vec<u8>> {
        if !self.open.contains_key(&location.file) {
            let path = self.logs.get(&location.file).ok_or(std::io::ErrorKind::NotFound)?;
            self.open.insert(location.file, File::open(path)?);
        }
        let file = self.open.get(&location.file).ok_or(std::io::ErrorKind::NotFound)?;
        files::read_at(file, location.offset, location.len as usize)
    }

    /// The message at a place, and what the store calls it; or why it cannot be had.
    fn message(&mut self, location: Location) -> Result<(Message, String), String> {
        let at = format!("the record at byte {} of db-{}.log", location.offset, location.file);
        let record = self.record(location).map_err(|error| format!("{at}: {error}"))?;
        let (id, bytes) = match Entry::parse(&record) {
            Ok(Entry::Add(add) | Entry::Update(add)) => (add.id, add.message),
            // The scheduler calls its jobs by names of its own.
            Ok(Entry::AddJob(job)) => ("", job.message),
            _ => return Err(format!("{at} has no message any more")),
        };
        match self.reader.message(bytes, id) {
            Some(message) => Ok((message, id.to_owned())),
            None => Err(format!("{at}: the message {id} is in no known version of OpenWire")),
        }
    }
}

/// One message of a batch.
#[derive(Clone, Debug)]
struct Item {
    location: Location,
    /// Where it goes; `None`: where it says.
    destination: Option<Arc<Destination>>,
    /// When it is due, in milliseconds since 1970; 0: at once.
    due_ms: i64,
}

/// An import.
pub struct Import {
    settings: Settings,
    door: Arc<Door>,
    reporter: Reporter,
    report: Report,
    /// In front of the names of its connections.
    name: String,
    connections: u64,
    done: u64,
    total: u64,
}

/// What is read, and who sends it.
struct Sending {
    source: Source,
    main: Client,
    marks: Marks,
}

impl Import {
    /// An import that has not begun.
    pub fn new(settings: Settings, door: Arc<Door>, reporter: Reporter) -> Self {
        let name = format!("ID:kahadb-import-{}-{}-0", std::process::id(), now_ms());
        let report = Report::default();
        Import { settings, door, reporter, report, name, connections: 0, done: 0, total: 0 }
    }

    /// Does all of it, and tells what came of it.
    pub fn run(mut self) {
        let done = self.all();
        self.report.failed = done.err();
        let accepted = self.report.lost.is_empty() || self.settings.accept_loss;
        self.report.good = self.report.failed.is_none() && accepted;
        self.reporter.end(&self.report);
    }

    fn all(&mut self) -> Result<(), Ended> {
        if self.settings.sent {
            let mut main = self.client(CLIENT_ID).map_err(said)?;
            marks::remove(&mut main)?;
            return main.leave().map_err(said);
        }
        let (replay, logs) = self.read_directory(&self.settings.directory.clone())?;
        if logs.is_empty() {
            let shown = self.settings.directory.display();
            return Err(format!("there is no KahaDB in {shown}: it has no db-1.log or the like"));
        }
        let scheduled = match self.scheduler()? {
            Some(directory) => Some(self.read_directory(&directory)?),
            None => None,
        };
        self.report.records = replay.records;
        if !self.report.lost.is_empty() && !self.settings.accept_loss {
            return Err(
                "what cannot be read would be lost: nothing was sent (--accept-loss goes on)".to_owned()
            );
        }
        let plan = fingerprint_of(&replay);
        self.total = replay.held.values().map(|held| held.messages.len() as u64).sum();
        let main = self.client(CLIENT_ID).map_err(said)?;
        let mut sending = Sending { source: Source::new(logs), main, marks: Marks::new(&plan) };
        sending.marks.open(&mut sending.main)?;
        self.report.resumed_at = sending.marks.resumed();
        for (name, held) in &replay.held {
            if name.is_temporary() || name.name.starts_with(ADVISORIES) {
                if !held.messages.is_empty() {
                    let count = held.messages.len();
                    self.report.note(format!("{count} messages of {} are of no use any more", name.name));
                }
                continue;
            }
            match name.is_topic() {
                true => self.topic(&mut sending, name, held)?,
                false => self.queue(&mut sending, name, held.messages.values())?,
            }
        }
        self.branches(&mut sending, &replay)?;
        if let Some((scheduled, logs)) = scheduled {
            self.scheduled(&mut sending, &scheduled, logs)?;
        }
        // The last mark stays until whoever started this has noted that all is there.
        sending.main.leave().map_err(said)
    }

    /// Replays a directory, which nobody may be writing, and notes what cannot be read.
    fn read_directory(&mut self, directory: &Path) -> Result<(Replay, Vec<LogFile>), Ended> {
        let shown = directory.display();
        check_lock(&directory.join("lock"))?;
        let reporter = &mut self.reporter;
        let read = replay::replay(directory, &mut |done, total| reporter.progress("reading", done, total));
        let (replay, logs) = read.map_err(|error| format!("{shown} cannot be read: {error}"))?;
        for damage in &replay.damages {
            let (from, to) = (damage.from, damage.to);
            let text = format!("{}, bytes {from} to {to}: {}", damage.file.display(), damage.what);
            match damage.at_the_end {
                true => self.report.note(format!("{text}: the unfinished end of the log")),
                false => self.report.lose(text),
            }
        }
        for strange in &replay.strange {
            let Location { file, offset, .. } = strange.location;
            let error = strange.error;
            self.report.lose(format!("the record at byte {offset} of db-{file}.log in {shown}: {error}"));
        }
        Ok((replay, logs))
    }

    /// Where the scheduler's store is, if there is one.
    fn scheduler(&mut self) -> Result<Option<PathBuf>, Ended> {
        if !self.settings.scheduler.as_os_str().is_empty() {
            return Ok(Some(self.settings.scheduler.clone()));
        }
        let Some(beside) = self.settings.directory.parent() else { return Ok(None) };
        let has_log = |path: &PathBuf| files::files(path).is_ok_and(|logs| !logs.is_empty());
        let below = std::fs::read_dir(beside).map(|entries| {
            entries.filter_map(|entry| Some(entry.ok()?.path().join("scheduler"))).collect::<Vec<_>>()
        });
        let places = std::iter::once(beside.join("scheduler")).chain(below.unwrap_or_default());
        let mut found: Vec<PathBuf> = places.filter(has_log).collect();
        found.sort();
        found.dedup();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            [first, second, ..] => {
                let (first, second) = (first.display(), second.display());
                Err(format!(
                    "there are several stores of schedulers, {first} and {second}: name one (--scheduler)"
                ))
            }
        }
    }

    /// Another connection.
    fn client(&mut self, client_id: &str) -> Result<Client, Failure> {
        self.connections += 1;
        Client::connect(&self.door, &format!("{}:{}", self.name, self.connections), client_id)
    }

    fn queue<'s>(
        &mut self,
        sending: &mut Sending,
        name: &Name,
        messages: impl Iterator<Item = &'s Stored>,
    ) -> Result<(), Ended> {
        let destination = message::destination(name);
        let made = sending.main.call(|command_id| {
            Command::from(DestinationInfo {
                command_id,
                response_required: true,
                destination: Some(destination.clone()),
                operation_type: DestinationInfo::ADD,
                ..DestinationInfo::default()
            })
        });
        match made {
            Ok(_) => self.report.queues += 1,
            Err(Failure::Refused(why)) => {
                return self.cannot(format!("the queue {:?} was refused: {why}", name.name));
            }
            Err(other) => return Err(said(other)),
        }
        let destination = Some(destination);
        let items = messages.map(|stored| Item {
            location: stored.location,
            destination: destination.clone(),
            due_ms: 0,
        });
        let sent = self.batches(sending, items.collect())?;
        self.report.queue_messages += sent;
        Ok(())
    }

    /// Something is not taken over: the end, unless that was said to be of no matter.
    fn cannot(&mut self, what: String) -> Result<(), Ended> {
        let text = what.clone();
        self.report.lose(what);
        match self.settings.accept_loss {
            true => Ok(()),
            false => Err(format!("{text} (--accept-loss goes on without it)")),
        }
    }

    /// Sends messages in batches; answers how many the broker has now.
    fn batches(&mut self, sending: &mut Sending, items: Vec<Item>) -> Result<u64, Ended> {
        let (mut sent, mut rest) = (0, &items[..]);
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |item: &&Item| {
                bytes += u64::from(item.location.len);
                bytes <= BATCH_BYTES
            };
            let count = rest.iter().take(BATCH_MESSAGES).take_while(fits).count().max(1);
            let (batch, later) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            rest = later;
            sent += match sending.marks.next() {
                true => self.batch(sending, batch)?,
                // An earlier run has sent it.
                false => batch.len() as u64,
            };
            self.done += batch.len() as u64;
            self.reporter.progress("sending", self.done, self.total);
        }
        Ok(sent)
    }

    /// Sends one batch, as a whole.
    fn batch(&mut self, sending: &mut Sending, items: &[Item]) -> Result<u64, Ended> {
        let mut refused = BTreeSet::new();
        let mut one_by_one = false;
        loop {
            let before = refused.len();
            let id = sending.main.begin().map_err(said)?;
            for (index, item) in items.iter().enumerate() {
                if refused.contains(&index) {
                    continue;
                }
                let (message, name) = match self.ready(sending, item, &id) {
                    Ok(ready) => ready,
                    Err(why) => {
                        refused.insert(index);
                        self.cannot(why)?;
                        continue;
                    }
                };
                match sending.main.publish(message, one_by_one) {
                    Ok(()) => {}
                    Err(Failure::Refused(why) | Failure::Unspeakable(why)) => {
                        refused.insert(index);
                        self.cannot(format!("the message {name} was refused: {why}"))?;
                    }
                    Err(other) => return Err(said(other)),
                }
            }
            sending.marks.send(&mut sending.main, &id)?;
            let spoilt = one_by_one && refused.len() > before;
            let ended = match spoilt {
                true => Err(Failure::Refused(String::new())),
                false => sending.main.step(&id, TransactionInfo::COMMIT_ONE_PHASE).map(drop),
            };
            match ended {
                Ok(()) => {
                    sending.marks.sent(&mut sending.main)?;
                    return Ok((items.len() - refused.len()) as u64);
                }
                // One of them is at fault: which is found by waiting for each.
                Err(Failure::Refused(_)) if spoilt || !one_by_one => {
                    one_by_one = true;
                    // It is gone whatever the answer is.
                    let _ = sending.main.step(&id, TransactionInfo::ROLLBACK);
                }
                Err(other) => return Err(said(other)),
            }
        }
    }

    /// The message as it is sent, and its name.
    fn ready(
        &mut self,
        sending: &mut Sending,
        item: &Item,
        transaction: &Arc<TransactionId>,
    ) -> Result<(Message, String), String> {
        let (mut message, name) = sending.source.message(item.location)?;
        message::strip(&mut message);
        if let Some(destination) = &item.destination {
            message.destination = Some(destination.clone());
        }
        message.transaction_id = Some(transaction.clone());
        let delay_ms = if item.due_ms == 0 { 0 } else { item.due_ms.saturating_sub(now_ms()).max(0) };
        match message::reschedule(&mut message, delay_ms) {
            Some(()) => Ok((message, name)),
            None => Err(format!("the properties of the message {name} cannot be read")),
        }
    }

    /// What the scheduler has put off.
    fn scheduled(
        &mut self,
        sending: &mut Sending,
        scheduled: &Replay,
        logs: Vec<LogFile>,
    ) -> Result<(), Ended> {
        let mut items: Vec<Item> = Vec::new();
        for (id, job) in &scheduled.put_off {
            if job.repeats {
                self.report
                    .note(format!("the job {id} comes again and again: only its next time is taken over"));
            }
            // What is overdue goes at once.
            items.push(Item { location: job.location, destination: None, due_ms: job.next_ms.max(1) });
        }
        items.sort_by_key(|item| (item.due_ms, item.location.file, item.location.offset));
        let source = std::mem::replace(&mut sending.source, Source::new(logs));
        let sent = self.batches(sending, items);
        sending.source = source;
        self.report.scheduled += sent?;
        Ok(())
    }
}

fn said(failure: Failure) -> Ended {
    failure.to_string()
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// What tells one plan from another: the same directory gives the same.
fn fingerprint_of(replay: &Replay) -> String {
    let mut all = String::new();
    let mut sum = 0_u128;
    for (name, held) in &replay.held {
        all += &format!("{} {};", name.kind, name.name);
        for (order, stored) in &held.messages {
            sum = sum.rotate_left(7).wrapping_add(stored.id ^ u128::from(*order));
        }
    }
    for (id, job) in &replay.put_off {
        all += &format!("{id} {};", job.next_ms);
    }
    format!("{:032x}", replay::fingerprint(&all) ^ sum)
}

/// Refuses while a broker has the directory: it holds a lock on a file in it.
fn check_lock(path: &Path) -> Result<(), Ended> {
    let Ok(file) = File::options().read(true).write(true).open(path) else { return Ok(()) };
    let wanted = rustix::process::Flock::from(rustix::process::FlockType::WriteLock);
    match rustix::process::fcntl_getlk(&file, &wanted) {
        Ok(Some(held)) => {
            let by = held.pid.map_or_else(String::new, |pid| format!(" {}", pid.as_raw_nonzero()));
            Err(format!("{} is locked by the process{by}: stop the broker first", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_nobody_has_may_be_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(check_lock(&folder.path().join("lock")), Ok(()));
        std::fs::write(folder.path().join("lock"), b"x").unwrap();
        assert_eq!(check_lock(&folder.path().join("lock")), Ok(()));
    }
}
