// SPDX-License-Identifier: Apache-2.0
//! How those in the engine room tell the committer and the timer that there is something for them.
//!
//! Both cost nothing while the one to be told is busy anyway: it looks again before it sleeps.

use super::grouping::{Expected, Waited};
use sabir_engine::CommitNeed;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Tells the committer that there is something to commit.
#[derive(Debug, Default)]
pub struct CommitSignal {
    state: Mutex<CommitState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct CommitState {
    need: CommitNeed,
    lazy_since: Option<Instant>,
    sleeps: bool,
    stopping: bool,
    arrivals: Arrivals,
    // Below so many arrivals the committer would rather not be woken.
    awaited: u32,
}

/// Who has asked for a commit since the last batch was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Sessions that have sent one message and wait for its confirmation.
    pub senders: u32,
    /// Whether others have, too, whose next messages do not wait.
    pub crowd: bool,
}

/// What a session that has asked for something waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// No confirmation.
    Nothing,
    /// One, before which it sends nothing more.
    One,
    /// Several, or it sends on without them.
    Several,
}

/// Why the committer was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitWake {
    /// There may be a batch.
    Work,
    /// The time given has passed.
    Timeout,
    /// The broker is stopping; what is left may be committed.
    Stop,
}

impl CommitSignal {
    fn lock(&self) -> MutexGuard<'_, CommitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something to commit, so urgently.
    pub fn need(&self, need: CommitNeed) {
        if need == CommitNeed::None {
            return;
        }
        let mut state = self.lock();
        if state.need >= need {
            return;
        }
        state.need = need;
        if need == CommitNeed::Lazy {
            state.lazy_since.get_or_insert_with(Instant::now);
        }
        if state.sleeps {
            drop(state);
            self.changed.notify_one();
        }
    }

    /// What a session has asked for is to be committed at once, or waits with what is.
    pub fn need_now(&self, awaits: Awaits) {
        let mut state = self.lock();
        match awaits {
            Awaits::Nothing => {}
            Awaits::One => state.arrivals.senders = state.arrivals.senders.saturating_add(1),
            Awaits::Several => state.arrivals.crowd = true,
        }
        let news = state.need < CommitNeed::Now || state.awaited > 0;
        state.need = CommitNeed::Now;
        if state.sleeps && news && state.awaited_came() {
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Who came since the last batch was taken.
    pub fn arrivals(&self) -> Arrivals {
        self.lock().arrivals
    }

    /// The same, and they are in the batch that was just taken.
    pub fn take_arrivals(&self) -> Arrivals {
        std::mem::take(&mut self.lock().arrivals)
    }

    /// Where there is something to commit, waits for more of it; answers what came of that.
    pub fn gather(&self, expected: Expected) -> Waited {
        let until = Instant::now() + expected.patience;
        let mut state = self.lock();
        state.awaited = expected.senders;
        let waited = loop {
            if state.arrivals.senders >= expected.senders {
                break Waited::AllCame;
            }
            if state.awaited_came() {
                break Waited::Crowded;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break Waited::InVain;
            }
            state.sleeps = true;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.sleeps = false;
        };
        state.awaited = 0;
        waited
    }

    /// The broker is stopping.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_one();
    }

    /// Whether the committer sleeps and nothing has been asked of it.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();
        state.sleeps && state.need < CommitNeed::Now
    }

    /// Sleeps until there is something to commit. What nobody waits for may wait for `lazy`; `timeout` ends the
    /// sleep in any case.
    pub fn wait(&self, lazy: Duration, timeout: Option<Duration>) -> CommitWake {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let lazy_until = state.lazy_since.map(|since| since + lazy);
            if state.need == CommitNeed::Now || lazy_until.is_some_and(|at| at <= now) {
                state.need = CommitNeed::None;
                state.lazy_since = None;
                return CommitWake::Work;
            }
            if state.stopping {
                return CommitWake::Stop;
            }
            if until.is_some_and(|at| at <= now) {
                return CommitWake::Timeout;
            }
            state.sleeps = true;
            let next = [lazy_until, until].into_iter().flatten().min();
            state = match next {
                Some(at) => {
                    let woken = self.changed.wait_timeout(state, at.saturating_duration_since(now));
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.sleeps = false;
        }
    }
}

impl CommitState {
    /// Whether there is no reason to wait for more senders.
    fn awaited_came(&self) -> bool {
        self.arrivals.senders >= self.awaited || self.arrivals.crowd || self.stopping
    }
}

/// Tells the timer when the engine wants to be called.
#[derive(Debug)]
pub struct DeadlineSignal {
    deadline_ms: AtomicU64,
    /// When the timer will look by itself.
    armed_ms: AtomicU64,
    changed: Notify,
}

impl Default for DeadlineSignal {
    fn default() -> Self {
        DeadlineSignal {
            deadline_ms: AtomicU64::new(u64::MAX),
            armed_ms: AtomicU64::new(u64::MAX),
            changed: Notify::new(),
        }
    }
}

impl DeadlineSignal {
    /// The engine wants to be called then.
    pub fn set(&self, deadline_ms: Option<u64>) {
        let deadline_ms = deadline_ms.unwrap_or(u64::MAX);
        self.deadline_ms.store(deadline_ms, Ordering::Release);
        // A timer that looks too early looks again; only one that would be late must be told.
        if deadline_ms < self.armed_ms.load(Ordering::Acquire) {
            self.armed_ms.store(deadline_ms, Ordering::Release);
            self.changed.notify_one();
        }
    }

    /// The deadline, for the timer, which will look again then unless [`changed`](Self::changed) says so earlier.
    pub fn arm(&self) -> u64 {
        let deadline_ms = self.deadline_ms.load(Ordering::Acquire);
        self.armed_ms.store(deadline_ms, Ordering::Release);
        deadline_ms
    }

    /// Completes when the deadline has become earlier.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn what_somebody_waits_for_is_committed_at_once() {
        let signal = CommitSignal::default();
        signal.need(CommitNeed::Lazy);
        signal.need(CommitNeed::Now);
        assert_eq!(signal.wait(LONG, None), CommitWake::Work);
        assert_eq!(signal.wait(LONG, Some(Duration::ZERO)), CommitWake::Timeout);
    }

    #[test]
    fn what_nobody_waits_for_is_committed_after_its_time() {
        let signal = CommitSignal::default();
        signal.need(CommitNeed::Lazy);
        assert_eq!(signal.wait(LONG, Some(Duration::ZERO)), CommitWake::Timeout);
        assert_eq!(signal.wait(Duration::ZERO, None), CommitWake::Work);
    }

    #[test]
    fn who_is_expected_is_awaited_unless_others_come_who_do_not_wait() {
        let expected = |patience| Expected { senders: 2, patience };
        let signal = CommitSignal::default();
        signal.need_now(Awaits::One);
        assert_eq!(signal.wait(LONG, None), CommitWake::Work);
        assert_eq!(signal.gather(expected(Duration::ZERO)), Waited::InVain);
        std::thread::scope(|scope| {
            scope.spawn(|| signal.need_now(Awaits::One));
            assert_eq!(signal.gather(expected(LONG)), Waited::AllCame);
        });
        assert_eq!(signal.take_arrivals(), Arrivals { senders: 2, crowd: false });
        std::thread::scope(|scope| {
            scope.spawn(|| signal.need_now(Awaits::Several));
            assert_eq!(signal.gather(expected(LONG)), Waited::Crowded);
        });
        assert_eq!(signal.take_arrivals(), Arrivals { senders: 0, crowd: true });
        signal.stop();
        assert_eq!(signal.gather(expected(LONG)), Waited::Crowded);
    }

    #[test]
    fn a_stop_comes_after_what_is_left() {
        let signal = CommitSignal::default();
        signal.need(CommitNeed::Now);
        signal.stop();
        assert_eq!(signal.wait(LONG, None), CommitWake::Work);
        assert_eq!(signal.wait(LONG, None), CommitWake::Stop);
    }

    #[tokio::test]
    async fn the_timer_is_told_of_an_earlier_deadline_only() {
        let signal = DeadlineSignal::default();
        signal.set(Some(100));
        signal.changed().await;
        assert_eq!(signal.arm(), 100);
        signal.set(Some(200));
        assert!(tokio::time::timeout(Duration::ZERO, signal.changed()).await.is_err());
        signal.set(Some(50));
        signal.changed().await;
        assert_eq!(signal.arm(), 50);
    }
}
