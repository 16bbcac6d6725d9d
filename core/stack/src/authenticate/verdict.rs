// SPDX-License-Identifier: Apache-2.0
//! One answer, from a thread that may block to a future that must not.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// The side that answers. Dropped without an answer, it says that there will be none.
pub(super) struct Judge(Arc<Shared>);

/// The side that waits: `None` when nobody judged.
pub(super) struct Verdict(Arc<Shared>);

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    /// The answer, or that there is none; outer `None` while it is awaited.
    answer: Option<Option<bool>>,
    waker: Option<Waker>,
}

pub(super) fn verdict() -> (Judge, Verdict) {
    let shared = Arc::new(Shared::default());
    (Judge(shared.clone()), Verdict(shared))
}

impl Shared {
    fn set(&self, answer: Option<bool>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.answer.is_none() {
            state.answer = Some(answer);
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Judge {
    pub(super) fn answer(self, right: bool) {
        self.0.set(Some(right));
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

impl Future for Verdict {
    type Output = Option<bool>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<bool>> {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.answer {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
