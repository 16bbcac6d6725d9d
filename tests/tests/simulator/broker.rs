// SPDX-License-Identifier: Apache-2.0
//! The broker under simulation: the real engine and the real journal, with everything that is not deterministic
//! taken from the seed: when batches are written and synced, in which order reads come back, when it dies.

use sabir_engine::{CommitId, Config, Engine, Input, Outputs, ReadRequest};
use sabir_model::Now;
use sabir_model::store::{Batch, Level, LogId, LogSummary, Read, Want};
use sabir_model::stored::StoredAt;
use sabir_sdk::store::{Ops, Store};
use sabir_store_journal::Journal;
use sabir_testkit::disk::Dice;
use std::collections::{BTreeMap, VecDeque};

/// A batch that the store has and that is not known to be durable.
struct InFlight {
    commit: CommitId,
    ticket: u64,
    level: Level,
}

/// Why the broker must be started again.
#[derive(Debug)]
pub struct Died(pub String);

pub struct Broker {
    pub engine: Engine,
    store: Journal,
    in_flight: VecDeque<InFlight>,
    refused: VecDeque<(CommitId, Batch)>,
    reads: Vec<ReadRequest>,
    last_commit: CommitId,
    last_ticket: u64,
    /// Batches for which the store had no room.
    pub refusals: u64,
    /// Bodies in pieces that the store had at the start and that no entry named.
    pub stray_bodies: usize,
    pub now: Now,
    pub out: Outputs,
}

impl Broker {
    /// Starts on what the store holds.
    pub fn start(store: Journal, config: Config, now: Now) -> Result<Self, String> {
        let mut logs = Vec::new();
        store
            .recover(&mut |log| {
                logs.push(log.clone());
                Ok(())
            })
            .map_err(|error| error.to_string())?;
        let mut keys = Vec::new();
        for (from, to) in Engine::key_ranges() {
            store
                .scan(&from, &to, 0, &mut |key, value| {
                    keys.push((key.to_vec().into(), value.to_vec().into()));
                    true
                })
                .map_err(|error| error.to_string())?;
        }
        let stray_bodies = stray_bodies(&logs, &keys)?;
        let engine = Engine::recover(config, now, logs, keys).map_err(|error| error.to_string())?;
        Ok(Broker {
            engine,
            store,
            in_flight: VecDeque::new(),
            refused: VecDeque::new(),
            reads: Vec::new(),
            last_commit: CommitId(0),
            last_ticket: 0,
            refusals: 0,
            stray_bodies,
            now,
            out: Outputs::default(),
        })
    }

    /// Tells the engine something; what comes of it is added to `out`, save reads, which are kept here.
    pub fn tell(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input, &mut self.out);
        self.reads.append(&mut self.out.reads);
    }

    /// Gives the store the engine's next batch. False: there is none, or no room for it.
    pub fn submit(&mut self) -> Result<bool, Died> {
        let mut batch = Batch::default();
        let Some(commit) = self.engine.take_batch(&mut batch) else { return Ok(false) };
        self.hand_over(commit, batch)
    }

    fn hand_over(&mut self, commit: CommitId, mut batch: Batch) -> Result<bool, Died> {
        let level = batch.level;
        self.last_commit = commit;
        match Ops::with_batch(&batch, |ops| self.store.submit(ops, level)) {
            Ok(ticket) => {
                self.last_ticket = ticket;
                self.in_flight.push_back(InFlight { commit, ticket, level });
                Ok(true)
            }
            Err(error) if error.code == sabir_sdk::ErrorCode::Full => {
                self.tell(Input::StoreFull { commit, batch: &mut batch });
                self.refused.push_back((commit, batch));
                self.refusals += 1;
                Ok(false)
            }
            Err(error) => Err(self.failed(error.to_string())),
        }
    }

    /// Syncs a random number of the batches in flight, all of them with `all`.
    pub fn sync(&mut self, random: &mut Dice, all: bool) -> Result<bool, Died> {
        if self.in_flight.is_empty() {
            return Ok(false);
        }
        let count =
            if all { self.in_flight.len() } else { 1 + random.below(self.in_flight.len() as u64) as usize };
        let upto = &self.in_flight[count - 1];
        let (commit, ticket) = (upto.commit, upto.ticket);
        let must_sync = self.in_flight.iter().take(count).any(|one| one.level == Level::Durable);
        if must_sync
            && ticket > 0
            && let Err(error) = self.store.sync(ticket)
        {
            return Err(self.failed(error.to_string()));
        }
        self.in_flight.drain(..count);
        self.tell(Input::Committed { commit });
        Ok(true)
    }

    /// Tries the batches again that found no room, in order. The engine is told once the store has all of them, and
    /// what it then waits for is one sync that covers everything.
    pub fn retry_refused(&mut self) -> Result<(), Died> {
        if self.refused.is_empty() {
            return Ok(());
        }
        while let Some((_, batch)) = self.refused.front() {
            if !batch.ops.is_empty() {
                match Ops::with_batch(batch, |ops| self.store.submit(ops, batch.level)) {
                    Ok(ticket) => self.last_ticket = ticket,
                    Err(error) if error.code == sabir_sdk::ErrorCode::Full => return Ok(()),
                    Err(error) => return Err(self.failed(error.to_string())),
                }
            }
            self.refused.pop_front();
        }
        self.tell(Input::StoreRoom);
        self.in_flight.clear();
        let all = InFlight { commit: self.last_commit, ticket: self.last_ticket, level: Level::Durable };
        self.in_flight.push_back(all);
        Ok(())
    }

    /// Answers one of the reads that are under way.
    pub fn read(&mut self, random: &mut Dice) -> bool {
        if self.reads.is_empty() {
            return false;
        }
        let request = self.reads.swap_remove(random.below(self.reads.len() as u64) as usize);
        let mut records = Vec::new();
        let result = self.store.read(&request.read, &mut |record| {
            records.push(record);
            true
        });
        let error = result.err().map(|error| error.to_string());
        self.tell(Input::Records { read: request.id, records, error });
        true
    }

    /// The whole body that lies in pieces there.
    pub fn body(&self, at: StoredAt) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let what =
            Read { log: at.log, from: 0, last: u64::MAX, max_records: 0, max_bytes: 0, want: Want::All };
        let read = self.store.read(&what, &mut |record| {
            bytes.extend_from_slice(&record.data);
            true
        });
        read.map_err(|error| error.to_string())?;
        match bytes.len() as u64 == at.len {
            true => Ok(bytes),
            false => Err(format!("{} bytes of the body {at:?} are there", bytes.len())),
        }
    }

    /// Lets the deadline come if it is due.
    pub fn tick(&mut self) {
        if self.out.deadline_ms.is_some_and(|deadline| deadline <= self.now.monotonic_ms) {
            self.tell(Input::Tick);
        }
    }

    /// Does everything there is to do, until nothing is left but waiting for time to pass.
    pub fn settle_down(&mut self, random: &mut Dice) -> Result<(), Died> {
        loop {
            let submitted = self.submit()?;
            let synced = self.sync(random, true)?;
            let read = self.read(random);
            if !submitted && !synced && !read {
                return Ok(());
            }
        }
    }

    fn failed(&mut self, text: String) -> Died {
        self.tell(Input::StoreFailed { text: text.clone() });
        Died(text)
    }

    /// Closes the store in good order.
    pub fn stop(self) -> Result<(), String> {
        self.store.close().map_err(|error| error.to_string())
    }
}

/// How many bodies no entry names. One that an entry names and that is not there as a whole is an error.
fn stray_bodies(logs: &[LogSummary], keys: &[(bytes::Bytes, bytes::Bytes)]) -> Result<usize, String> {
    const BODY_LOGS: u64 = 3;
    const BODY_KEYS: &[u8] = b"e\x80";
    let bytes_of = |log: &LogSummary| log.ranges.iter().map(|range| range.bytes).sum();
    let mut lengths: BTreeMap<LogId, u64> =
        logs.iter().filter(|log| log.log >> 60 == BODY_LOGS).map(|log| (log.log, bytes_of(log))).collect();
    let mut named = Vec::new();
    for (key, value) in keys.iter().filter(|(key, _)| key.starts_with(BODY_KEYS)) {
        let at = StoredAt::decode(value).ok_or_else(|| format!("the key {key:?} names no body"))?;
        let number = |from: usize| key.get(from..from + 8).and_then(|bytes| bytes.try_into().ok());
        let (log, seq) = (number(2).map(u64::from_be_bytes), number(10).map(u64::from_be_bytes));
        let ranges = logs.iter().filter(|one| Some(one.log) == log).flat_map(|one| &one.ranges);
        if !seq.is_some_and(|seq| ranges.into_iter().any(|range| (range.first..=range.last).contains(&seq))) {
            // While the store was full the entry went ahead of its key.
            continue;
        }
        if lengths.get(&at.log) != Some(&at.len) {
            return Err(format!("{key:?} names {at:?}, of which {:?} bytes are there", lengths.get(&at.log)));
        }
        named.push(at.log);
    }
    for log in named {
        lengths.remove(&log);
    }
    Ok(lengths.values().filter(|len| **len > 0).count())
}
