// SPDX-License-Identifier: Apache-2.0
//! Who is let in.

use crate::support::*;
use sabir_model::verb::{Reason, Verb};
use sabir_model::{Now, SessionId};
use sabir_stack::policy::{Remember, Rules, hash_password};
use sabir_stack::verb_kind::VerbKind;
use sabir_stack::{Authentication, Batch, Limits, Policy, Session};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

fn broker() -> Broker {
    Broker::new(Policy::new(users(&[("ann", &["sales"]), ("bob", &[])]), Rules::default(), Limits::default()))
}

fn with_anonymous() -> Broker {
    let Authentication::Users { users, .. } = users(&[("ann", &[])]) else { unreachable!() };
    let authentication = Authentication::Users { users, anonymous: true };
    Broker::new(Policy::new(authentication, Rules::default(), Limits::default()))
}

#[test]
fn the_right_password_lets_a_user_in_with_their_groups_and_client_id() {
    let mut client = broker().client();
    assert_eq!(client.ask(log_in("ann")), []);
    let principal = client.session().principal().unwrap();
    assert_eq!((principal.user.as_deref(), &*principal.groups), (Some("ann"), &["sales".to_owned()][..]));
    assert_eq!(client.session().client_id.as_deref(), Some("client"));
    assert_eq!(client.reached(), [VerbKind::Connect]);
}

#[test]
fn a_real_hash_is_checked_as_a_cheap_one() {
    let mut users = sabir_stack::policy::Users::new();
    users.add("ann", &hash_password(b"secret").unwrap(), Vec::new()).unwrap();
    let authentication = Authentication::Users { users, anonymous: false };
    let broker = Broker::new(Policy::new(authentication, Rules::default(), Limits::default()));
    assert_eq!(broker.client().ask(connect(Some("ann"), Some("secret"))), []);
    assert_eq!(
        broker.client().ask(connect(Some("ann"), Some("Secret"))),
        [(1, Reason::Unauthenticated, false)]
    );
}

#[test]
fn the_password_does_not_reach_the_engine() {
    let mut client = broker().client();
    client.ask(log_in("ann"));
    let reached = client.reached.lock().unwrap();
    let Verb::Connect(connect) = &reached[0].verb else { panic!("no log-in") };
    assert_eq!((connect.user.as_deref(), connect.password.as_deref()), (Some("ann"), None));
}

#[test]
fn everything_else_is_refused_with_the_same_words() {
    let attempts = [
        connect(Some("ann"), Some("wrong")),
        connect(Some("ann"), Some("")),
        connect(Some("ann"), None),
        connect(Some("Ann"), Some("nna")),
        connect(Some("eve"), Some("eve")),
        connect(Some(""), Some("")),
        connect(Some(""), Some("x")),
        connect(None, Some("nna")),
        connect(None, None),
    ];
    for attempt in attempts {
        let mut client = broker().client();
        let refusal = client.refusal(attempt.clone());
        assert_eq!(
            (refusal.reason, &*refusal.text),
            (Reason::Unauthenticated, "wrong user name or password")
        );
        assert!(client.session().principal().is_none());
        assert_eq!(client.reached(), [], "{attempt:?}");
    }
}

#[test]
fn who_gives_neither_name_nor_password_is_let_in_where_that_is_allowed() {
    for nobody in [connect(None, None), connect(Some(""), None), connect(Some(""), Some(""))] {
        let mut client = with_anonymous().client();
        assert_eq!(client.ask(nobody), []);
        assert_eq!(client.session().principal().unwrap().user, None);
    }
    for somebody in [connect(Some("eve"), None), connect(None, Some("x")), connect(Some("ann"), None)] {
        assert_eq!(with_anonymous().client().ask(somebody), [(1, Reason::Unauthenticated, false)]);
    }
}

#[test]
fn without_authentication_everybody_is_let_in_and_nobody_has_a_name() {
    let mut client = Broker::open().client();
    assert_eq!(client.ask(connect(Some("ann"), Some("whatever"))), []);
    assert_eq!(client.session().principal().unwrap().user, None);
}

#[test]
fn after_the_last_attempt_the_session_is_over() {
    let mut client = broker().client();
    assert_eq!(client.ask(connect(Some("ann"), Some("1"))), [(1, Reason::Unauthenticated, false)]);
    assert_eq!(client.ask(connect(None, None)), [(1, Reason::Unauthenticated, false)]);
    assert_eq!(client.ask(connect(Some("eve"), Some("3"))), [(1, Reason::Unauthenticated, true)]);
    assert_eq!(client.ask(log_in("ann")), [(1, Reason::Invalid, true)]);
    assert_eq!(client.reached(), []);
}

#[test]
fn an_attempt_that_failed_can_be_repeated() {
    let mut client = broker().client();
    client.ask(connect(Some("ann"), Some("wrong")));
    assert_eq!(client.ask(log_in("ann")), []);
    assert_eq!(client.reached(), [VerbKind::Connect]);
}

#[test]
fn what_was_pipelined_behind_a_log_in_shares_its_fate() {
    let behind = |first: Verb| vec![request(1, 0, first), request(2, 1, subscribe("queue://Q"))];
    let mut client = broker().client();
    assert_eq!(client.ask_all(behind(log_in("ann"))), []);
    assert_eq!(client.reached(), [VerbKind::Connect, VerbKind::Subscribe]);
    let mut client = broker().client();
    let refusals = client.ask_all(behind(connect(Some("ann"), Some("wrong"))));
    assert_eq!(refusals, [(1, Reason::Unauthenticated, false), (2, Reason::Unauthenticated, true)]);
    assert_eq!(client.reached(), []);
}

#[test]
fn while_a_password_is_checked_nothing_passes_and_a_check_that_never_runs_is_a_refusal() {
    type Work = Box<dyn FnOnce() + Send>;
    let queue: Arc<Mutex<Vec<Work>>> = Arc::default();
    for run in [true, false] {
        let mut broker = broker();
        let waiting = queue.clone();
        broker.shared.blocking = Arc::new(move |work: Work| waiting.lock().unwrap().push(work));
        let mut client = broker.client();
        let mut batch = Batch::first(Now::default(), Session::new(SessionId(1), "c"));
        batch.requests.push(request(1, 0, log_in("ann")));
        batch.requests.push(request(2, 1, subscribe("queue://Q")));
        let mut future = Box::pin(client.stack.call(batch));
        assert!(now_or_never(&mut future).is_none());
        assert_eq!(client.reached(), []);
        let work = queue.lock().unwrap().pop().unwrap();
        if run {
            work();
        } else {
            drop(work);
        }
        let Ok(admissions) = now_or_never(&mut future).unwrap();
        assert_eq!(admissions.remaining.len(), if run { 2 } else { 0 });
        assert_eq!(admissions.session.is_over(), !run);
        assert!(admissions.session.principal().is_none());
    }
}

/// A broker that counts how often a password is checked in full.
fn counting() -> (Broker, Arc<AtomicUsize>) {
    let (mut broker, checks) = (broker(), Arc::new(AtomicUsize::new(0)));
    let counter = checks.clone();
    broker.shared.blocking = Arc::new(move |work: Box<dyn FnOnce() + Send>| {
        counter.fetch_add(1, Ordering::Relaxed);
        work();
    });
    (broker, checks)
}

#[test]
fn a_right_password_is_checked_once_and_then_remembered_and_a_wrong_one_is_checked_each_time() {
    let (broker, checks) = counting();
    for _ in 0..5 {
        assert_eq!(broker.client().ask(log_in("ann")), []);
    }
    assert_eq!(checks.load(Ordering::Relaxed), 1);
    broker.logged_in("bob");
    assert_eq!(checks.load(Ordering::Relaxed), 2);
    for wrong in ["wrong", "bob", "nn", "nnaa"] {
        assert_eq!(
            broker.client().ask(connect(Some("ann"), Some(wrong))),
            [(1, Reason::Unauthenticated, false)]
        );
    }
    assert_eq!(checks.load(Ordering::Relaxed), 6);
    for _ in 0..2 {
        broker.client().ask(connect(Some("eve"), Some("eve")));
    }
    assert_eq!(checks.load(Ordering::Relaxed), 8);
}

#[test]
fn a_remembered_password_is_forgotten_with_the_policy_and_after_its_time() {
    let (broker, checks) = counting();
    broker.logged_in("ann");
    let again = users(&[("ann", &[])]);
    broker.shared.policy.replace(Policy::new(again, Rules::default(), Limits::default()));
    broker.logged_in("ann");
    assert_eq!(checks.load(Ordering::Relaxed), 2);
    let mut changed = sabir_stack::policy::Users::new();
    changed.add("ann", &quick_hash("new"), Vec::new()).unwrap();
    let authentication = Authentication::Users { users: changed, anonymous: false };
    let never = Remember { lifetime_ms: 0, ..Remember::default() };
    let policy = Policy::new(authentication, Rules::default(), Limits::default()).with_remember(never);
    broker.shared.policy.replace(policy);
    assert_eq!(broker.client().ask(log_in("ann")), [(1, Reason::Unauthenticated, false)]);
    for _ in 0..2 {
        assert_eq!(broker.client().ask(connect(Some("ann"), Some("new"))), []);
    }
    assert_eq!(checks.load(Ordering::Relaxed), 5);
}

#[test]
fn those_who_waited_for_the_same_password_do_not_each_have_it_checked() {
    let mut users = sabir_stack::policy::Users::new();
    users.add("ann", &hash_password(b"secret").unwrap(), Vec::new()).unwrap();
    let authentication = Authentication::Users { users, anonymous: false };
    let mut broker = Broker::new(Policy::new(authentication, Rules::default(), Limits::default()));
    type Work = Box<dyn FnOnce() + Send>;
    let queue: Arc<Mutex<Vec<Work>>> = Arc::default();
    let waiting = queue.clone();
    broker.shared.blocking = Arc::new(move |work: Work| waiting.lock().unwrap().push(work));
    let mut clients: Vec<_> = (0..1000).map(|_| broker.client()).collect();
    let mut futures: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            let mut batch = Batch::first(Now::default(), Session::new(SessionId(1), "c"));
            batch.requests.push(request(1, 0, connect(Some("ann"), Some("secret"))));
            client.stack.call(batch)
        })
        .collect();
    let mut work = queue.lock().unwrap().split_off(0).into_iter();
    let began = std::time::Instant::now();
    work.next().unwrap()();
    let one = began.elapsed();
    let began = std::time::Instant::now();
    work.for_each(|work| work());
    assert!(began.elapsed() < one * 100, "{:?} for 999, {one:?} for one", began.elapsed());
    for future in &mut futures {
        let Ok(admissions) = now_or_never(future).unwrap();
        assert!(admissions.replies.is_empty());
    }
}

#[test]
fn a_user_has_no_more_sessions_than_allowed() {
    let limits = Limits { max_sessions_per_user: 2, ..Limits::default() };
    let broker = Broker::new(Policy::new(users(&[("ann", &[]), ("bob", &[])]), Rules::default(), limits));
    let first = broker.logged_in("ann");
    let _second = broker.logged_in("ann");
    assert_eq!(broker.client().ask(log_in("ann")), [(1, Reason::Limit, true)]);
    let _other = broker.logged_in("bob");
    drop(first);
    broker.logged_in("ann");
}
