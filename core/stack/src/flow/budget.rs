// SPDX-License-Identifier: Apache-2.0
//! What one session may have on its way, shared between its stack and the server.

use crate::limits::Limits;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What one session may have on its way. The lock is the session's own, and taken once per batch.
#[derive(Debug)]
pub struct Budget {
    max_items: u64,
    max_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answered_later: Usage,
    /// Publishes that nobody is told of, while the engine has them wait.
    parked: Usage,
    is_parked: bool,
    waker: Option<Waker>,
}

/// Something that is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Verbs.
    pub items: u64,
    /// Bytes of their messages.
    pub bytes: u64,
}

impl Usage {
    pub(super) fn add(&mut self, bytes: u64) {
        self.items += 1;
        self.bytes += bytes;
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.items += other.items;
        self.bytes += other.bytes;
    }
}

impl Budget {
    /// With these bounds; what is larger than a whole budget still passes when it is alone.
    pub fn new(limits: &Limits) -> Self {
        Budget {
            max_items: limits.max_in_flight_items.max(1),
            max_bytes: limits.max_in_flight_bytes.max(1),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine has the session's publishes wait, or goes on with all of them.
    pub fn set_parked(&self, parked: bool) {
        let mut state = self.state();
        state.is_parked = parked;
        if !parked {
            state.parked = Usage::default();
            self.wake(state);
        }
    }

    /// What is on its way.
    pub fn usage(&self) -> Usage {
        let state = self.state();
        let mut usage = state.answered_later;
        usage += state.parked;
        usage
    }

    pub(super) fn charge(&self, answered_later: Usage, unanswered: Usage) {
        let mut state = self.state();
        state.answered_later += answered_later;
        if state.is_parked {
            state.parked += unanswered;
        }
    }

    pub(super) fn release(&self, answered: Usage) {
        let mut state = self.state();
        let left = &mut state.answered_later;
        left.items = left.items.saturating_sub(answered.items);
        left.bytes = left.bytes.saturating_sub(answered.bytes);
        self.wake(state);
    }

    fn is_free(&self, state: &State) -> bool {
        let items = state.answered_later.items + state.parked.items;
        let bytes = state.answered_later.bytes + state.parked.bytes;
        items < self.max_items && bytes < self.max_bytes
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if self.is_free(&state)
            && let Some(waker) = state.waker.take()
        {
            drop(state);
            waker.wake();
        }
    }

    /// Ready while there is room.
    pub fn poll_free(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if self.is_free(&state) {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
