// SPDX-License-Identifier: Apache-2.0
//! When a session is held back.

use crate::support::*;
use sabir_model::verb::{Request, Verb};
use sabir_model::{Branch, BranchAct, BranchStep};
use sabir_stack::Limits;
use sabir_stack::flow::Usage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

fn small(items: u64, bytes: u64) -> Client {
    let limits = Limits { max_in_flight_items: items, max_in_flight_bytes: bytes, ..Limits::default() };
    let mut client = Broker::with_limits(limits).connected();
    client.answered(&[done(1)]).unwrap();
    assert_eq!(client.ask_all(vec![request(100, 1, attach("queue://Q"))]), []);
    client.answered(&[done(100)]).unwrap();
    assert_eq!(client.budget.usage(), Usage::default());
    client
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_session_waits_while_too_many_verbs_are_unanswered_and_is_woken_by_an_answer() {
    let mut client = small(3, 1 << 20);
    assert_eq!(client.ask_all((1..=3).map(|n| request(n, 1, publish())).collect()), []);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    assert!(client.stack.poll_ready(&mut Context::from_waker(&waker)).is_pending());
    client.answered(&[done(2)]).unwrap();
    assert!(woken.0.load(Ordering::Relaxed));
    assert!(client.is_ready());
    client.answered(&[done(1), done(3)]).unwrap();
    assert_eq!(client.budget.usage(), Usage::default());
}

#[test]
fn a_session_waits_while_too_many_bytes_are_unanswered() {
    let mut client = small(100, 300);
    assert_eq!(client.ask_all(vec![request(1, 1, publish())]), []);
    assert!(client.is_ready());
    assert_eq!(client.ask_all(vec![request(2, 1, publish())]), []);
    assert!(!client.is_ready());
    client.answered(&[done(1)]).unwrap();
    assert!(client.is_ready());
}

#[test]
fn one_batch_larger_than_the_budget_passes_alone() {
    let mut client = small(2, 10);
    assert_eq!(client.ask_all((1..=50).map(|n| request(n, 1, publish())).collect()), []);
    assert_eq!(client.reached().len(), 51);
    assert!(!client.is_ready());
}

#[test]
fn what_the_stack_refuses_is_not_charged() {
    let mut client = small(2, 1 << 20);
    for n in 0..10 {
        assert_eq!(client.ask_all(vec![request(n, 77, publish())]).len(), 1);
    }
    assert_eq!(client.budget.usage(), Usage::default());
}

#[test]
fn a_publish_without_an_answer_is_charged_only_while_the_engine_has_it_wait() {
    let mut client = small(3, 1 << 20);
    let silent = |n| {
        let mut request = request(n, 1, publish());
        request.confirm = false;
        request
    };
    for n in 0..10 {
        assert_eq!(client.ask_all(vec![silent(n)]), []);
    }
    assert_eq!(client.budget.usage(), Usage::default());
    client.budget.set_parked(true);
    assert_eq!(client.ask_all((0..3).map(silent).collect()), []);
    assert!(!client.is_ready());
    client.budget.set_parked(false);
    assert!(client.is_ready());
    assert_eq!(client.budget.usage(), Usage::default());
}

#[test]
fn verbs_that_want_no_answer_never_hold_a_session_back() {
    let mut client = small(1, 1);
    for _ in 0..10 {
        let mut credit = request(1, 1, Verb::Credit { amount: 1, set: false, drain: false });
        credit.confirm = false;
        assert_eq!(client.ask_all(vec![credit]), []);
    }
    assert!(client.is_ready());
}

#[test]
fn what_waits_for_the_end_of_a_branch_holds_nobody_back() {
    let mut client = Broker::open().connected();
    let before = client.budget.usage();
    let step = BranchStep::new(BranchAct::Await, Branch::new(1, &[2], &[3]).unwrap());
    let waits = Request { transaction: 5, ..request(9, 0, Verb::Branch(Box::new(step))) };
    assert_eq!(client.ask_all(vec![waits]), []);
    // A link that its peer has closed ends when all is answered: this may never be.
    assert_eq!(client.budget.usage(), before);
    client.answered(&[done(9)]).unwrap();
    assert_eq!(client.budget.usage(), before);
}
