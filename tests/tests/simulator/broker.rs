// SPDX-License-Identifier: Apache-2.0
//! The broker under simulation: the real engine and the real journal, with everything that is not deterministic
//! taken from the seed: when batches are written and synced, in which order reads come back, when it dies.

use sabir_engine::{CommitId, Config, Engine, Input, Outputs, ReadRequest};
use sabir_model::Now;
use sabir_model::store::{Batch, Level};
use sabir_sdk::store::{Ops, Store};
use sabir_store_journal::Journal;
use sabir_testkit::disk::Dice;
use std::collections::VecDeque;

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
