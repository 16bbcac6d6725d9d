// SPDX-License-Identifier: Apache-2.0
//! Names, and who listens on them. Names belong to the copy of this library: a program that has linked it and also
//! loaded it from a file has two sets of names.

use crate::link::MemLink;
use crate::options::Options;
use sabir_sdk::transport::{Framing, Link, Listener};
use sabir_sdk::{Error, ErrorCode, Result};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Longest name.
const MAX_NAME_BYTES: usize = 255;

static NAMES: Mutex<BTreeMap<String, Arc<Backlog>>> = Mutex::new(BTreeMap::new());

/// Links that wait to be accepted.
struct Backlog {
    options: Options,
    /// Numbers the links, for their attributes.
    next: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    links: VecDeque<MemLink>,
    accepting: Option<Waker>,
}

/// A listener: has its name to itself until it is dropped.
pub(crate) struct MemListener {
    name: String,
    backlog: Arc<Backlog>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that `name` can be told apart from other names in logs and addresses.
fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(good) {
        let rule = format!("expected 1 to {MAX_NAME_BYTES} letters, digits and -_./:");
        return Err(Error::new(ErrorCode::Config, format!("{name:?} is no name of a listener: {rule}")));
    }
    Ok(())
}

impl MemListener {
    pub(crate) fn open(name: &str, options: Options) -> Result<Self> {
        check_name(name)?;
        let mut names = lock(&NAMES);
        if names.contains_key(name) {
            let text = format!("cannot listen on {name:?}: another listener of this process has the name");
            return Err(Error::new(ErrorCode::Address, text));
        }
        let backlog = Arc::new(Backlog { options, next: AtomicU64::new(1), waiting: Mutex::default() });
        names.insert(name.to_owned(), Arc::clone(&backlog));
        Ok(Self { name: name.to_owned(), backlog })
    }
}

impl Listener for MemListener {
    fn local_address(&self) -> &str {
        &self.name
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        let mut waiting = lock(&self.backlog.waiting);
        if let Some(link) = waiting.links.pop_front() {
            return Poll::Ready(Ok(Box::new(link)));
        }
        waiting.accepting = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for MemListener {
    fn drop(&mut self) {
        // Holding the names while the backlog is emptied: nobody can join it afterwards.
        let mut names = lock(&NAMES);
        names.remove(&self.name);
        let left = std::mem::take(&mut *lock(&self.backlog.waiting));
        drop(names);
        // Outside the locks: closing links wakes their peers.
        drop(left);
    }
}

/// Connects to whoever listens on `name`; `framing` is what the caller insists on.
pub(crate) fn connect(name: &str, framing: Option<Framing>) -> Result<MemLink> {
    check_name(name)?;
    let names = lock(&NAMES);
    let Some(backlog) = names.get(name) else {
        let text = format!("cannot connect: nobody listens on {name:?}");
        return Err(Error::new(ErrorCode::NotFound, text).retryable());
    };
    let options = &backlog.options;
    if framing.is_some_and(|framing| framing != options.framing) {
        let text = format!("cannot connect: {name:?} has framing {:?}", options.framing);
        return Err(Error::new(ErrorCode::Config, text));
    }
    let mut waiting = lock(&backlog.waiting);
    if waiting.links.len() >= options.backlog {
        let text = format!("cannot connect: {} links wait at {name:?} already (backlog)", options.backlog);
        return Err(Error::new(ErrorCode::Limit, text).retryable());
    }
    let client = format!("{name}#{}", backlog.next.fetch_add(1, Ordering::Relaxed));
    let (accepting, connecting) = MemLink::pair(name, &client, options);
    waiting.links.push_back(accepting);
    let waker = waiting.accepting.take();
    drop(waiting);
    drop(names);
    if let Some(waker) = waker {
        waker.wake();
    }
    Ok(connecting)
}
