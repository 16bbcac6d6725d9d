// SPDX-License-Identifier: Apache-2.0
//! The committer: takes what the engine wants stored, stores it, and tells the engine what has become durable.
//!
//! Whatever arrives during a sync is the next commit, so the store's own speed sets the size of the groups. Two things
//! are put off: what nobody waits for, for some milliseconds, in the hope of a commit that takes it along; and a commit
//! whose senders' companions are about to be back, for less than a sync ([`Grouping`]). A session alone on the broker commits on its own thread ([`Committer::commit_here`]), which saves two changes of
//! thread where there is no group to wait for.

use super::failure::Failure;
use super::grouping::Grouping;
use super::room::Room;
use super::signals::CommitWake;
use sabir_engine::{CommitId, CommitNeed, Input};
use sabir_host::{ErrorCode, Store};
use sabir_model::store::{Batch, Level};
use sabir_stack::metrics::Histogram;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a batch for which there was no room is tried again.
const RETRY_FULL: Duration = Duration::from_millis(250);
/// A batch that had more operations gives its memory back.
const KEPT_OPS: usize = 16 * 1024;

/// Commits. One thread at a time does.
#[derive(Debug)]
pub struct Committer {
    room: Arc<Room>,
    store: Arc<Store>,
    failure: Arc<Failure>,
    lazy: Duration,
    work: Mutex<Work>,
    durations: Histogram,
}

#[derive(Debug)]
struct Work {
    grouping: Grouping,
    batch: Batch,
    /// Batches for which the store had no room, in order.
    refused: VecDeque<(CommitId, Batch)>,
    /// The last batch that was taken out of the engine.
    last: CommitId,
    /// The last ticket that the store gave.
    ticket: u64,
}

/// What a commit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There was nothing to commit.
    Nothing,
    /// Something was committed, or put aside.
    Some,
    /// Not even removals found room: they wait with what had found none before.
    Stuck,
}

/// What the committer's thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    GoOn,
    Pause,
    End,
}

impl Committer {
    /// A committer between this room and this store. `lazy`: how long what nobody waits for is put off; `delay`: how
    /// long others may wait for company, at most.
    pub fn new(
        room: Arc<Room>,
        store: Arc<Store>,
        failure: Arc<Failure>,
        lazy: Duration,
        delay: Duration,
    ) -> Self {
        let work = Work {
            grouping: Grouping::new(delay),
            batch: Batch::default(),
            refused: VecDeque::new(),
            last: CommitId::default(),
            ticket: 0,
        };
        Committer { room, store, failure, lazy, work: Mutex::new(work), durations: Histogram::default() }
    }

    /// How long durable commits took.
    pub fn durations(&self) -> &Histogram {
        &self.durations
    }

    /// The committer's thread: until the broker stops and everything is committed, or the store fails.
    pub fn run(&self) {
        loop {
            let retry = (!self.lock().refused.is_empty()).then_some(RETRY_FULL);
            let wake = self.room.commit.wait(self.lazy, retry);
            let mut work = self.lock();
            if wake == CommitWake::Work
                && let Some(expected) = work.grouping.expected()
            {
                let waited = self.room.commit.gather(expected);
                work.grouping.waited(waited);
            }
            let done = self.step(&mut work, wake);
            match done {
                Ok(Step::GoOn) => {}
                Ok(Step::Pause) => {
                    drop(work);
                    // Whatever wakes the committer now, there is no room for it.
                    std::thread::sleep(RETRY_FULL);
                }
                Ok(Step::End) => return,
                Err(error) => {
                    drop(work);
                    return self.fail(&error);
                }
            }
        }
    }

    /// What the thread does each time it is woken. What was refused is tried again whenever there is nothing else, and
    /// in any case from time to time.
    fn step(&self, work: &mut Work, wake: CommitWake) -> Result<Step, sabir_host::Error> {
        let committed = self.commit(work)?;
        if committed == Progress::Some && wake != CommitWake::Timeout {
            return Ok(Step::GoOn);
        }
        let retried = self.retry(work)?;
        Ok(match (retried, wake) {
            (Progress::Some, _) => Step::GoOn,
            (_, CommitWake::Stop) => Step::End,
            _ if committed == Progress::Stuck => Step::Pause,
            _ => Step::GoOn,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits on the calling thread, if nobody else is committing. `false`: the committer must do it.
    pub fn commit_here(&self) -> bool {
        let Ok(mut work) = self.work.try_lock() else { return false };
        if !work.refused.is_empty() || self.failure.is_set() {
            return false;
        }
        if let Err(error) = self.commit(&mut work) {
            drop(work);
            self.fail(&error);
        } else if !work.refused.is_empty() {
            // The committer sleeps, and knows nothing yet of what it is to try again.
            self.room.commit.need(CommitNeed::Now);
        }
        true
    }

    /// Takes one batch through the store.
    fn commit(&self, work: &mut Work) -> Result<Progress, sabir_host::Error> {
        if self.failure.is_set() {
            return Ok(Progress::Nothing);
        }
        let Some(commit) = self.room.take_batch(&mut work.batch) else { return Ok(Progress::Nothing) };
        work.last = commit;
        work.grouping.taken(self.room.commit.take_arrivals().senders);
        let began = Instant::now();
        match self.store.submit(&work.batch) {
            Ok(ticket) => {
                let level = work.batch.level;
                work.batch.clear();
                if work.batch.ops.capacity() > KEPT_OPS {
                    work.batch = Batch::default();
                }
                self.complete(work, commit, ticket, level)?;
                if level == Level::Durable {
                    self.durations.observe(began.elapsed());
                }
                work.ticket = work.ticket.max(ticket);
                if !work.refused.is_empty() {
                    self.retry(work)?;
                }
            }
            Err(error) if error.code == ErrorCode::Full => {
                let was_full = !work.refused.is_empty();
                self.put_aside(work, commit, &error);
                return Ok(if was_full { Progress::Stuck } else { Progress::Some });
            }
            Err(error) => return Err(error),
        }
        Ok(Progress::Some)
    }

    /// Makes what was submitted durable, if somebody waits for that, and tells the engine.
    fn complete(
        &self,
        work: &mut Work,
        commit: CommitId,
        ticket: u64,
        level: Level,
    ) -> Result<(), sabir_host::Error> {
        if level == Level::Durable {
            let began = Instant::now();
            self.store.sync(ticket)?;
            // Before the senders hear of it: those that come from now on are the ones that were waiting.
            work.grouping.synced(began.elapsed(), self.room.commit.arrivals().senders);
        }
        self.room.enter(self.room.now(), Input::Committed { commit });
        Ok(())
    }

    /// The store has no room: the engine is told, and the batch is tried again later.
    fn put_aside(&self, work: &mut Work, commit: CommitId, error: &sabir_host::Error) {
        if work.refused.is_empty() {
            tracing::error!(error = %error, "the store is full: publishes wait until there is room");
        }
        let mut batch = std::mem::take(&mut work.batch);
        self.room.enter(self.room.now(), Input::StoreFull { commit, batch: &mut batch });
        work.refused.push_back((commit, batch));
    }

    /// Submits what was refused before, unless all of it has gone ahead meanwhile. `None`: there is still no room.
    fn submit_again(&self, batch: &Batch) -> Result<Option<u64>, sabir_host::Error> {
        if batch.ops.is_empty() {
            return Ok(Some(0));
        }
        match self.store.submit(batch) {
            Ok(ticket) => Ok(Some(ticket)),
            Err(error) if error.code == ErrorCode::Full => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tries the batches again for which there was no room, in order. The engine is told once the store has all of
    /// them: until then it gives nothing but removals.
    fn retry(&self, work: &mut Work) -> Result<Progress, sabir_host::Error> {
        if work.refused.is_empty() || self.failure.is_set() {
            return Ok(Progress::Nothing);
        }
        while let Some((_, batch)) = work.refused.front() {
            let Some(ticket) = self.submit_again(batch)? else { return Ok(Progress::Nothing) };
            work.ticket = work.ticket.max(ticket);
            work.refused.pop_front();
        }
        tracing::info!("the store has room again");
        self.room.enter(self.room.now(), Input::StoreRoom);
        // What went ahead may have been all that was ever submitted, or nothing at all.
        let level = if work.ticket == 0 { Level::Written } else { Level::Durable };
        let (last, ticket) = (work.last, work.ticket);
        self.complete(work, last, ticket, level)?;
        Ok(Progress::Some)
    }

    /// The store has failed for good: nothing is confirmed any more.
    pub fn fail(&self, error: &sabir_host::Error) {
        let text = format!("the store has failed: {error}");
        tracing::error!(error = %error, "the store has failed; nothing more is confirmed, and the broker stops");
        self.room.enter(self.room.now(), Input::StoreFailed { text: text.clone() });
        self.failure.set(text);
    }
}
