// SPDX-License-Identifier: Apache-2.0
//! How much of it.

use crate::support::*;
use sabir_model::message::Fixed;
use sabir_model::verb::{Reason, Request, Transact, Verb};
use sabir_stack::Limits;

const LIMIT: [Refused; 1] = [(1, Reason::Limit, false)];

fn small() -> Broker {
    Broker::with_limits(Limits {
        max_subscriptions: 2,
        max_producers: 2,
        max_transactions: 2,
        max_temporary_destinations: 2,
        max_composite_destinations: 3,
        max_destination_name_bytes: 20,
        max_name_bytes: 10,
        max_selector_bytes: 15,
        max_message_bytes: 1000,
        max_credit: 100,
        ..Limits::default()
    })
}

fn with_id(id: u64, verb: Verb) -> Vec<Request> {
    vec![Request { token: id, confirm: true, id, transaction: id, verb }]
}

#[test]
fn a_session_makes_no_more_than_allowed_until_it_ends_some() {
    type Make = fn(u64) -> Verb;
    let kinds: [(Make, Make); 4] = [
        (|_| subscribe("queue://Q"), |_| Verb::Unsubscribe { forget: false }),
        (|_| attach("queue://Q"), |_| Verb::Detach),
        (|_| Verb::Transact(Transact::Begin), |_| Verb::Transact(Transact::Rollback)),
        (|n| declare(&format!("temp-queue://{n}")), |n| delete(&format!("temp-queue://{n}"))),
    ];
    for (make, end) in kinds {
        let mut client = small().connected();
        assert_eq!(client.ask_all(with_id(1, make(1))), []);
        assert_eq!(client.ask_all(with_id(2, make(2))), []);
        assert_eq!(client.ask_all(with_id(3, make(3))), [(3, Reason::Limit, false)]);
        assert_eq!(client.ask_all(with_id(2, end(2))), []);
        assert_eq!(client.ask_all(with_id(3, make(3))), []);
        assert_eq!(client.ask_all(with_id(4, make(4))), [(4, Reason::Limit, false)]);
    }
}

#[test]
fn what_the_engine_refused_does_not_count() {
    let mut client = small().connected();
    for n in 1..20 {
        assert_eq!(client.ask_all(with_id(n, subscribe("queue://Q"))), []);
        assert_eq!(client.ask_all(with_id(n + 100, Verb::Transact(Transact::Begin))), []);
        client.answered(&[refused(n), refused(n + 100)]).unwrap();
    }
    assert_eq!(client.ask_all(with_id(50, subscribe("queue://Q"))), []);
    client.answered(&[done(50)]).unwrap();
    client.answered(&[refused(50)]).unwrap();
    assert_eq!(client.ask_all(with_id(51, subscribe("queue://Q"))), []);
    assert_eq!(client.ask_all(with_id(52, subscribe("queue://Q"))), [(52, Reason::Limit, false)]);
}

#[test]
fn a_hundred_thousand_open_transactions_are_refused_beyond_the_limit() {
    let mut client = Broker::open().connected();
    let begin = |n| Request {
        token: n,
        confirm: false,
        id: 0,
        transaction: n,
        verb: Verb::Transact(Transact::Begin),
    };
    let refusals = client.ask_all((1..=100_000).map(begin).collect());
    assert_eq!(refusals.len(), 99_000);
    assert_eq!(client.reached().len(), 1_000);
}

#[test]
fn sizes_are_bounded() {
    let fits = Verb::Publish(message(&Fixed::default(), None, 900));
    let large = Verb::Publish(message(&Fixed::default(), None, 1000));
    let mut client = small().connected();
    assert_eq!(client.ask(attach("queue://Q")), []);
    assert_eq!(client.ask(fits), []);
    assert_eq!(client.ask(large), [(1, Reason::BadMessage, false)]);
    assert_eq!(client.ask(attach("queue://123456789012345678901")), LIMIT);
    assert_eq!(client.ask(attach("queue://a,queue://b,queue://c,queue://d")), LIMIT);
    assert_eq!(client.ask(subscribe("queue://123456789012345678901")), LIMIT);
    assert_eq!(
        client.ask(subscribe_with("queue://Q", |asked| asked.selector = Some("a = 1 AND b = 22".into()))),
        LIMIT
    );
    assert_eq!(
        client.ask(subscribe_with("queue://Q", |asked| asked.name = Some("12345678901".into()))),
        LIMIT
    );
    assert_eq!(client.ask(subscribe_with("queue://Q", |asked| asked.credit = 101)), LIMIT);
    assert_eq!(client.ask(Verb::Credit { amount: u64::MAX, set: true, drain: false }), LIMIT);
    assert_eq!(client.ask(declare("queue://123456789012345678901")), LIMIT);
}

#[test]
fn a_refusal_names_the_setting() {
    let refusal = small().connected().refusal(Verb::Credit { amount: 101, set: true, drain: false });
    assert_eq!(refusal.text, "101 unsettled deliveries are more than limits.max_credit (100) allows");
}

#[test]
fn settings_have_defaults_and_unknown_ones_are_refused() {
    let limits: Limits = toml::from_str("max_subscriptions = 5").unwrap();
    assert_eq!(limits, Limits { max_subscriptions: 5, ..Limits::default() });
    assert!(toml::from_str::<Limits>("max_subscription = 5").is_err());
    assert!(toml::from_str::<Limits>("max_subscriptions = -5").is_err());
}
