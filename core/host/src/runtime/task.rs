// SPDX-License-Identifier: Apache-2.0
//! Tasks and blocking work of plugins.

use sabir_abi::*;
use sabir_boundary::waker;
use std::ffi::c_void;
use std::future::Future;
use std::pin::Pin;
use std::sync::RwLock;
use std::task::{Context, Poll};
use tokio::runtime::Handle;

/// Where tasks go that are spawned from a thread outside of any runtime (a plugin's own).
static DEFAULT: RwLock<Option<Handle>> = RwLock::new(None);

/// Names the runtime that serves plugins' own threads.
pub fn install(handle: Handle) {
    *DEFAULT.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(handle);
}

/// The runtime of this thread, or the default one.
fn runtime() -> Option<Handle> {
    let fallback = || DEFAULT.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    Handle::try_current().ok().or_else(fallback)
}

/// A task of a plugin as a future; dropped when it is done or refused.
struct Task(sabir_task);

// SAFETY: the contract lets the host poll and drop a task on any thread, one call at a time.
unsafe impl Send for Task {}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(drop) = self.0.drop {
            // SAFETY: the task is ours, and this is the last call.
            unsafe { drop(self.0.data) }
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(poll) = self.0.poll else { return Poll::Ready(()) };
        let lent = waker::lend(cx.waker());
        // SAFETY: the task is ours, and calls do not overlap (`&mut`); the waker is valid during the call.
        match unsafe { poll(self.0.data, &lent) } {
            SABIR_PENDING => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}

pub(super) unsafe extern "C" fn spawn(_: *mut c_void, task: sabir_task) -> i64 {
    // Ours from here on: it is dropped on every way out.
    let task = Task(task);
    super::contained("spawn", SABIR_ERR_OTHER, move || {
        let Some(runtime) = runtime() else { return SABIR_ERR_CLOSED };
        runtime.spawn(task);
        SABIR_OK
    })
}

pub(super) unsafe extern "C" fn run_blocking(
    _: *mut c_void,
    work: unsafe extern "C" fn(*mut c_void),
    arg: *mut c_void,
) -> i64 {
    struct Work(unsafe extern "C" fn(*mut c_void), *mut c_void);
    // SAFETY: the contract lets the host run the work on any thread.
    unsafe impl Send for Work {}
    impl Work {
        fn run(self) {
            // SAFETY: the work's only call, with its own argument.
            unsafe { (self.0)(self.1) }
        }
    }
    let work = Work(work, arg);
    super::contained("run_blocking", SABIR_ERR_OTHER, move || {
        let Some(runtime) = runtime() else { return SABIR_ERR_CLOSED };
        runtime.spawn_blocking(move || work.run());
        SABIR_OK
    })
}
