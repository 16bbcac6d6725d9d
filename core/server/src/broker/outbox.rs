// SPDX-License-Identifier: Apache-2.0
//! What waits for one session: answers, deliveries, and what else it must be told.
//!
//! Filled by whoever is in the engine room, emptied by the session's own task. A session that is already awake is
//! not woken again, so that a commit that brings a thousand deliveries wakes it once. What can wait here is bounded
//! by the session's credit and by its budget of unanswered verbs.

use bytes::Bytes;
use sabir_engine::FlowChange;
use sabir_model::{Delivery, Reply};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Vectors that grew beyond so many elements give their memory back when they are empty.
const KEPT_ELEMENTS: usize = 256;

/// What waits for one session.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
}

/// What waits.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Answers, in order.
    pub replies: Vec<Reply>,
    /// Deliveries, in order.
    pub deliveries: Vec<Delivery>,
    /// Answers that stand behind so many of the deliveries.
    pub behind: VecDeque<(usize, Reply)>,
    /// How the session's publishes fare now; `None`: as before.
    pub flow: Option<FlowChange>,
    /// The broker ends the session.
    pub end: Option<End>,
    /// Bytes of bodies in pieces that the store has taken from it.
    pub stored_bytes: u64,
    /// The piece of a body that it has asked for; or why it cannot have it.
    pub piece: Option<Result<Bytes, String>>,
    /// To be woken when something comes.
    waker: Option<Waker>,
}

/// How the broker ends a session; each with the reason, for its peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// At once.
    AtOnce(String),
    /// Once it has the answers to what it has asked for.
    WhenAnswered(String),
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.replies.is_empty()
            && self.deliveries.is_empty()
            && self.behind.is_empty()
            && self.flow.is_none()
            && self.end.is_none()
    }
}

impl Outbox {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The contents, to add to. Whoever added something wakes the session with [`Waiting::take_waker`], best after
    /// it has left the engine room.
    pub fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session.
    pub fn end(&self, end: End) {
        let waker = {
            let mut waiting = self.lock();
            waiting.end.get_or_insert(end);
            waiting.take_waker()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Takes what waits into `taken`, whose vectors must be empty; leaves theirs here for reuse. `false`: nothing
    /// waits, and `waker` will be woken when something does.
    pub fn take(&self, taken: &mut Taken, waker: &Waker) -> bool {
        let mut waiting = self.lock();
        if waiting.is_empty() {
            match &mut waiting.waker {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
            waiting.wake_for_pieces(waker);
            return false;
        }
        std::mem::swap(&mut waiting.replies, &mut taken.replies);
        std::mem::swap(&mut waiting.deliveries, &mut taken.deliveries);
        std::mem::swap(&mut waiting.behind, &mut taken.behind);
        taken.flow = waiting.flow.take();
        taken.end = waiting.end.take();
        true
    }
}

/// What concerns bodies in pieces.
#[derive(Debug, Default)]
pub struct Pieces {
    /// See [`Waiting::stored_bytes`].
    pub stored_bytes: u64,
    /// See [`Waiting::piece`].
    pub piece: Option<Result<Bytes, String>>,
}

impl Outbox {
    /// Takes what concerns bodies in pieces, which a session can be told whatever else it is doing.
    pub fn take_pieces(&self) -> Pieces {
        let mut waiting = self.lock();
        let stored_bytes = std::mem::take(&mut waiting.stored_bytes);
        Pieces { stored_bytes, piece: waiting.piece.take() }
    }

    /// Hands a session the piece that it has asked for.
    pub fn put_piece(&self, piece: Result<Bytes, String>) {
        let waker = {
            let mut waiting = self.lock();
            waiting.piece = Some(piece);
            waiting.take_waker()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// For a session that can take nothing else now: whether it must end. Otherwise `waker` will be woken.
    pub fn watch_end(&self, waker: &Waker) -> Option<End> {
        let mut waiting = self.lock();
        waiting.wake_for_pieces(waker);
        let end = waiting.end.take();
        waiting.waker = Some(waker.clone());
        end
    }
}

impl Waiting {
    /// What concerns bodies in pieces is looked at apart: if it has come since then, the session looks again.
    fn wake_for_pieces(&self, waker: &Waker) {
        if self.stored_bytes > 0 || self.piece.is_some() {
            waker.wake_by_ref();
        }
    }

    /// The waker of a session that sleeps.
    pub fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }
}

/// What a session has taken out of its outbox and works on.
#[derive(Debug, Default)]
pub struct Taken {
    /// Answers.
    pub replies: Vec<Reply>,
    /// Deliveries.
    pub deliveries: Vec<Delivery>,
    /// See [`Waiting::behind`].
    pub behind: VecDeque<(usize, Reply)>,
    /// See [`Waiting::flow`].
    pub flow: Option<FlowChange>,
    /// See [`Waiting::end`].
    pub end: Option<End>,
}

impl Taken {
    /// Whether all of it was handed over.
    pub fn is_done(&self) -> bool {
        self.replies.is_empty() && self.deliveries.is_empty() && self.behind.is_empty()
    }

    /// Gives memory back that a burst has left behind.
    pub fn trim(&mut self) {
        if self.replies.is_empty() && self.replies.capacity() > KEPT_ELEMENTS {
            self.replies = Vec::new();
        }
        if self.deliveries.is_empty() && self.deliveries.capacity() > KEPT_ELEMENTS {
            self.deliveries = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sabir_model::verb::Answer;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn push(outbox: &Outbox, token: u64) {
        let waker = {
            let mut waiting = outbox.lock();
            waiting.replies.push(Reply { token, answer: Answer::Done });
            waiting.take_waker()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    #[test]
    fn a_sleeping_session_is_woken_once_for_all_that_comes() {
        let (outbox, counter) = (Outbox::new(), Arc::new(Counter::default()));
        let waker = Waker::from(counter.clone());
        let mut taken = Taken::default();
        assert!(!outbox.take(&mut taken, &waker));
        (1..=3).for_each(|token| push(&outbox, token));
        assert_eq!(counter.0.load(Ordering::SeqCst), 1);
        assert!(outbox.take(&mut taken, &waker));
        assert_eq!(taken.replies.iter().map(|reply| reply.token).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn an_ended_session_is_told_the_first_reason() {
        let outbox = Outbox::new();
        outbox.end(End::AtOnce("first".to_owned()));
        outbox.end(End::AtOnce("second".to_owned()));
        let mut taken = Taken::default();
        assert!(outbox.take(&mut taken, Waker::noop()));
        assert_eq!(taken.end, Some(End::AtOnce("first".to_owned())));
    }
}
