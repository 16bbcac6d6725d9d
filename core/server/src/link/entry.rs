// SPDX-License-Identifier: Apache-2.0
//! The innermost service of a session's stack: it enters the engine.

use crate::broker::{Awaits, Committer, Outbox, Room};
use sabir_engine::{Client, CommitNeed};
use sabir_model::verb::{Answer, Connect, Reason, Refusal, Reply, Transact};
use sabir_model::{Request, Verb};
use sabir_stack::{Admission, Admissions, Batch, Outbound, Outgoing};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use tower::Service;

/// Decides when a session may commit on its own thread instead of waking the committer.
///
/// That saves two changes of thread, and blocks the reactor for the length of a sync: it pays where one session alone
/// sends one message and waits for its confirmation, and nowhere else.
#[derive(Debug)]
pub struct Solo {
    is_allowed: bool,
    /// The session that needed the last commits, and how many it needed in a row.
    streak: AtomicU64,
    session: AtomicU64,
}

/// So many commits in a row must have been one session's alone.
const SOLO_STREAK: u64 = 8;

impl Solo {
    /// Nobody has been alone yet. `is_allowed`: the setting `store.solo_commits`.
    pub fn new(is_allowed: bool) -> Self {
        Solo { is_allowed, streak: AtomicU64::new(0), session: AtomicU64::new(0) }
    }

    /// Notes that `session` needs a commit, and answers whether it was the only one for long enough.
    fn note(&self, session: u64, is_single: bool) -> bool {
        // Races between reactors only make the streak shorter or one commit too long.
        if !is_single || self.session.swap(session, Ordering::Relaxed) != session {
            self.streak.store(0, Ordering::Relaxed);
            return false;
        }
        self.streak.fetch_add(1, Ordering::Relaxed) >= SOLO_STREAK && self.is_allowed
    }
}

/// Enters the engine for one session.
#[derive(Debug)]
pub struct EngineEntry {
    room: Arc<Room>,
    committer: Arc<Committer>,
    solo: Arc<Solo>,
    outbox: Arc<Outbox>,
    opened: Arc<AtomicBool>,
}

impl EngineEntry {
    /// For the session with this outbox; `opened` is set when it has logged in, so that whoever ends it knows that the
    /// engine knows it.
    pub fn new(
        room: Arc<Room>,
        committer: Arc<Committer>,
        solo: Arc<Solo>,
        outbox: Arc<Outbox>,
        opened: Arc<AtomicBool>,
    ) -> Self {
        EngineEntry { room, committer, solo, outbox, opened }
    }

    /// The log-in, which every layer has let pass. It is answered from here as the engine answers the rest: through
    /// the outbox, past the layers.
    fn open(&self, batch: &Batch, token: u64, connect: Connect) {
        let answer = if self.opened.swap(true, Ordering::AcqRel) {
            let refusal = Refusal::new(Reason::Invalid, "the session has logged in already");
            Answer::Refused(Box::new(refusal))
        } else {
            let client = Client {
                client_id: connect.client_id,
                user: batch.session.principal().and_then(|principal| principal.user.clone()),
                virtual_host: connect.virtual_host.unwrap_or_default(),
                connection_id: batch.session.connection_id.to_string(),
                exclusive_client_id: connect.exclusive_client_id,
                take_over: connect.take_over,
            };
            match self.room.open(batch.now, batch.session.id, client) {
                Ok(()) => Answer::Done,
                Err(refusal) => {
                    self.opened.store(false, Ordering::Release);
                    Answer::Refused(Box::new(refusal))
                }
            }
        };
        let mut waiting = self.outbox.lock();
        waiting.replies.push(Reply { token, answer });
        let waker = waiting.take_waker();
        drop(waiting);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// What a batch of a session waits for: one confirmation, where one message or one transaction is all that there is, so
/// that nothing follows until it is confirmed; several; or none.
fn awaits(requests: &[Request]) -> Awaits {
    match requests {
        [Request { confirm: true, verb: Verb::Publish(_), .. }]
        | [.., Request { confirm: true, verb: Verb::Transact(Transact::Commit), .. }] => Awaits::One,
        _ if requests.iter().any(|request| request.confirm) => Awaits::Several,
        _ => Awaits::Nothing,
    }
}

impl Service<Batch> for EngineEntry {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut batch: Batch) -> Admission {
        if matches!(batch.requests.first(), Some(Request { verb: Verb::Connect(_), .. })) {
            let request = batch.requests.remove(0);
            if let Verb::Connect(connect) = request.verb {
                self.open(&batch, request.token, *connect);
            }
        }
        let session = batch.session.id;
        let awaits = awaits(&batch.requests);
        let need = self.room.requests(batch.now, session, &mut batch.requests);
        if need == CommitNeed::Now {
            let solo = self.solo.note(session.0, awaits == Awaits::One);
            if !(solo && self.room.commit.is_idle() && self.committer.commit_here()) {
                self.room.commit.need_now(awaits);
            }
        } else {
            self.room.commit.need(need);
        }
        Admission::ready(batch.admit())
    }
}

impl Outbound for EngineEntry {
    fn outbound(&mut self, _: &Outgoing<'_>) -> Result<(), Refusal> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_session_that_was_alone_for_long_commits_on_its_own_thread() {
        let solo = Solo::new(true);
        assert!((0..SOLO_STREAK + 1).all(|_| !solo.note(1, true)));
        assert!(solo.note(1, true));
        assert!(!solo.note(2, true));
        assert!(!solo.note(1, true));
        assert!((0..2 * SOLO_STREAK).any(|_| solo.note(1, true)));
        assert!(!solo.note(1, false));
        assert!(!solo.note(1, true));
    }
}
