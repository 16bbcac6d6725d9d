// SPDX-License-Identifier: Apache-2.0
//! Lets users in: nothing passes before a log-in, and a log-in passes only with the right password.
//!
//! Checking a password takes tens of milliseconds on purpose, so it runs on another thread. Meanwhile the future is
//! pending; then the log-in comes back to the caller as the first of [`crate::Admissions::remaining`], and passes when
//! it is sent in again. Whether a user exists can be told neither by the answer nor by how long it takes.

mod layer;
mod service;
mod verdict;

pub use layer::AuthenticateLayer;
pub use service::Authenticate;

/// Threads that may block, lent by the server.
///
/// One check of a password takes 19 MiB: run few at the same time, and let the others wait or refuse them.
pub trait Blocking: Send + Sync {
    /// Runs the work on such a thread, once. Work that is dropped without being run counts as a refusal.
    fn run(&self, work: Box<dyn FnOnce() + Send>);
}

impl<F: Fn(Box<dyn FnOnce() + Send>) + Send + Sync> Blocking for F {
    fn run(&self, work: Box<dyn FnOnce() + Send>) {
        self(work);
    }
}
