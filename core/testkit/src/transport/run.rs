// SPDX-License-Identifier: Apache-2.0
//! One case after another, on a reactor of its own.

use super::end::{Check, Failure};
use super::subject::Subject;
use super::{accepting, addresses, bytes, ending, files, messages, pressure, standing, waking};
use crate::report::{Outcome, Report};
use sabir_host::Framing;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// A running case.
pub(super) type Running = Pin<Box<dyn Future<Output = Check>>>;

/// What a link must be able to do for a contract to concern it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    HalfClose,
    Stream,
    Messages,
    Files,
}

/// One contract.
pub(super) struct Contract {
    pub(super) id: &'static str,
    pub(super) promise: &'static str,
    pub(super) needs: Needs,
    pub(super) case: fn(Rc<Subject>) -> Running,
}

/// Gives a row of a table of contracts.
macro_rules! contract {
    ($id:literal, $needs:ident, $promise:literal, $case:path) => {
        $crate::transport::run::Contract {
            id: $id,
            promise: $promise,
            needs: $crate::transport::run::Needs::$needs,
            case: |subject| Box::pin(async move { $case(&subject).await }),
        }
    };
}
pub(super) use contract;

/// Every contract of transports, in the order in which they are looked at.
fn contracts() -> impl Iterator<Item = &'static Contract> {
    [
        addresses::CONTRACTS,
        accepting::CONTRACTS,
        bytes::CONTRACTS,
        ending::CONTRACTS,
        pressure::CONTRACTS,
        waking::CONTRACTS,
        messages::CONTRACTS,
        files::CONTRACTS,
        standing::CONTRACTS,
    ]
    .into_iter()
    .flatten()
}

/// Looks whether `subject` keeps every contract. Blocks; runs on a thread and a reactor of its own, so it may be
/// called from anywhere.
pub fn run(subject: impl FnOnce() -> Result<Subject, String> + Send + 'static) -> Report {
    let thread =
        std::thread::Builder::new().name("transport-suite".to_owned()).spawn(move || run_here(subject));
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(report)) => report,
        _ => not_run("the thread of the suite could not run to its end"),
    }
}

fn not_run(why: &str) -> Report {
    let mut report = Report::new();
    report.add("transport.open", "The transport can be opened.", Outcome::Failed(why.to_owned()));
    report
}

fn run_here(subject: impl FnOnce() -> Result<Subject, String>) -> Report {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return not_run(&format!("no reactor: {error}")),
    };
    raise_descriptor_limit();
    let entered = runtime.enter();
    let subject = match subject() {
        Ok(subject) => Rc::new(subject),
        Err(why) => return not_run(&why),
    };
    drop(entered);
    let mut report = Report::new();
    for contract in contracts() {
        match lacks(&subject, contract.needs) {
            Some(why) => report.skip(contract.id, contract.promise, why),
            None => report.add(contract.id, contract.promise, run_case(&runtime, &subject, contract)),
        }
    }
    report
}

/// Hundreds of links, both ends of each in this process, need more descriptors than a shell allows by default. Where
/// it cannot be raised, the case of many links says what was missing.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const ENOUGH: u64 = 16_384;
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    if limit.current.is_some_and(|current| current < wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}

fn lacks(subject: &Subject, needs: Needs) -> Option<&'static str> {
    let profile = subject.profile();
    match needs {
        Needs::HalfClose if !profile.half_close => Some("links are closed as a whole"),
        Needs::Stream | Needs::Files if profile.framing != Framing::Stream => Some("links have boundaries"),
        Needs::Files if !subject.sends_files() => Some("it does not claim that links send files"),
        Needs::Messages if profile.framing != Framing::Message => Some("links have no messages"),
        _ => None,
    }
}

fn run_case(runtime: &tokio::runtime::Runtime, subject: &Rc<Subject>, contract: &Contract) -> Outcome {
    // Without tokio's budget, which makes a busy task's polls answer «pending» now and then: that would be the
    // reactor's doing, and be held against the transport.
    let case = tokio::task::coop::unconstrained((contract.case)(Rc::clone(subject)));
    let (opened, limit) = (subject.listeners_opened(), subject.profile().case_limit);
    // A set of its own for each case: whatever a case leaves running is dropped with it.
    let tasks = tokio::task::LocalSet::new();
    let result = runtime.block_on(tasks.run_until(async {
        // As a task, so that a panic fails the case and not the suite.
        tokio::time::timeout(limit, tokio::task::spawn_local(case)).await
    }));
    let checked: Check = match result {
        Err(_) => Err(Failure(format!("did not end within {limit:?}: a wake-up is missing"))),
        Ok(Err(panic)) => Err(Failure(format!("panicked: {panic}"))),
        Ok(Ok(Ok(()))) if subject.listeners_opened() == opened => {
            Err(Failure("no listener was opened, so nothing was shown".to_owned()))
        }
        Ok(Ok(result)) => result,
    };
    drop(tasks);
    Outcome::from(checked.map_err(|failure| failure.0))
}
