// SPDX-License-Identifier: Apache-2.0
//! What can make no sense, whoever asks.

use crate::support::*;
use sabir_model::message::Fixed;
use sabir_model::verb::{
    Attach, Bind, Connect, Delete, ExchangeKind, Outcome, Query, Reason, Request, Settle, SettleRange,
    Transact, Verb,
};
use sabir_stack::verb_kind::VerbKind;

#[test]
fn nothing_comes_before_the_log_in() {
    let verbs = [
        publish(),
        subscribe("queue://Q"),
        attach("queue://Q"),
        declare("queue://Q"),
        Verb::Disconnect,
        Verb::Transact(Transact::Begin),
        Verb::Credit { amount: 1, set: false, drain: false },
    ];
    for verb in verbs {
        let mut client = Broker::open().client();
        assert_eq!(client.ask(verb.clone()), [(1, Reason::Unauthenticated, true)]);
        assert!(client.session().is_over());
        assert_eq!(client.ask(connect(None, None)), [(1, Reason::Invalid, true)], "{verb:?}");
        assert_eq!(client.reached(), []);
    }
}

#[test]
fn what_stands_behind_a_log_in_in_the_same_batch_passes_with_it() {
    let mut client = Broker::open().client();
    let asked = vec![
        request(1, 0, connect(None, None)),
        request(2, 7, attach("queue://Q")),
        request(3, 7, publish()),
    ];
    assert_eq!(client.ask_all(asked), []);
    assert_eq!(client.reached(), [VerbKind::Connect, VerbKind::Attach, VerbKind::Publish]);
}

#[test]
fn a_session_logs_in_once() {
    let mut client = Broker::open().connected();
    let asked = vec![
        request(1, 1, attach("queue://Q")),
        request(2, 0, connect(None, None)),
        request(3, 1, publish()),
    ];
    assert_eq!(client.ask_all(asked), [(2, Reason::Invalid, true)]);
    assert_eq!(client.reached(), [VerbKind::Attach]);
}

#[test]
fn only_a_client_id_can_be_for_one_session_alone_and_only_such_a_one_is_taken_over() {
    let ask = |client_id: Option<&str>, exclusive_client_id, take_over| {
        let client_id = client_id.map(str::to_owned);
        let connect = Connect { client_id, exclusive_client_id, take_over, ..Connect::default() };
        Broker::open().client().ask(Verb::Connect(Box::new(connect)))
    };
    assert_eq!(ask(Some("c"), true, false), []);
    assert_eq!(ask(Some("c"), true, true), []);
    for refused in [ask(None, true, false), ask(Some("c"), false, true)] {
        assert!(matches!(refused[..], [(1, Reason::Invalid, _)]), "{refused:?}");
    }
}

#[test]
fn nothing_comes_after_the_end() {
    let mut client = Broker::open().connected();
    let asked = vec![request(1, 1, Verb::Disconnect), request(2, 1, subscribe("queue://Q"))];
    assert_eq!(client.ask_all(asked), [(2, Reason::Invalid, true)]);
    assert_eq!(client.reached(), [VerbKind::Disconnect]);
    assert_eq!(client.ask(subscribe("queue://Q")), [(1, Reason::Invalid, true)]);
}

#[test]
fn what_is_refused_leaves_the_others_in_their_order() {
    let mut client = Broker::open().connected();
    let requests: Vec<Request> = (1..=9)
        .map(|n| request(n, n, if n % 3 == 0 { attach("queue://A.*") } else { attach("queue://A") }))
        .collect();
    assert_eq!(
        client.ask_all(requests),
        [(3, Reason::Invalid, false), (6, Reason::Invalid, false), (9, Reason::Invalid, false)]
    );
    let tokens: Vec<u64> = client.reached.lock().unwrap().iter().map(|request| request.token).collect();
    assert_eq!(tokens, [1, 2, 4, 5, 7, 8]);
}

#[test]
fn what_was_settled_while_the_end_was_on_its_way_still_counts() {
    let settle = |tag| Request {
        confirm: false,
        ..request(tag, 1, Verb::Settle(Settle { range: SettleRange::UpTo(tag), outcome: Outcome::Accept }))
    };
    let mut client = Broker::open().connected();
    assert_eq!(client.ask_all(vec![settle(1), request(9, 0, Verb::Disconnect), settle(2), settle(3)]), []);
    let order: Vec<u64> = client.reached.lock().unwrap().drain(..).map(|request| request.token).collect();
    assert_eq!(order, [1, 2, 3, 9]);
    assert_eq!(client.ask_all(vec![settle(4)]), []);
    assert_eq!(client.reached(), []);
}

fn times(timestamp_ms: i64, expiration_ms: i64, deliver_at_ms: i64) -> Verb {
    Verb::Publish(message(&Fixed { timestamp_ms, expiration_ms, deliver_at_ms, ..Fixed::default() }, None, 1))
}

#[test]
fn a_message_has_no_times_before_1970() {
    let mut client = Broker::open().connected();
    assert_eq!(client.ask(attach("queue://Q")), []);
    assert_eq!(client.ask(times(0, 0, 0)), []);
    assert_eq!(client.ask(times(1, 1, i64::MAX)), []);
    for bad in [times(-1, 0, 0), times(0, -1, 0), times(0, 0, i64::MIN)] {
        assert_eq!(client.ask(bad), [(1, Reason::BadMessage, false)]);
    }
}

#[test]
fn verbs_that_contradict_themselves_are_refused() {
    let settle = |first, last| {
        Verb::Settle(Settle { range: SettleRange::Tags { first, last }, outcome: Outcome::Accept })
    };
    let bind = |source: &str, target: &str| {
        Verb::Bind(Box::new(Bind {
            source: destination(source),
            target: destination(target),
            key: "k".to_owned(),
            selector: None,
        }))
    };
    let delete_both = Verb::Delete(Box::new(Delete {
        destination: Some(destination("queue://Q")),
        subscription_name: Some("s".to_owned()),
        if_empty: false,
        if_unused: false,
    }));
    let bad = [
        Verb::Attach(Box::new(Attach { destinations: Vec::new(), producer_name: None })),
        attach("queue://A.*"),
        attach("topic://#"),
        attach("queue://A,topic://B.#"),
        attach("exchange://#.a"),
        subscribe_with("queue://A", |asked| asked.destinations.clear()),
        subscribe("exchange://E"),
        subscribe("temp-queue://*"),
        subscribe("temp-topic://a.#"),
        subscribe_with("topic://T", |asked| asked.browse = true),
        subscribe_with("queue://Q", |asked| (asked.durable, asked.name) = (true, Some("n".to_owned()))),
        subscribe_with("topic://T", |asked| asked.durable = true),
        subscribe_with("topic://T", |asked| asked.name = Some(String::new())),
        subscribe_with("queue://Q", |asked| (asked.shared, asked.exclusive) = (true, true)),
        declare("queue://A.#"),
        declare("exchange://E"),
        declare_with("queue://Q", |asked| asked.exchange_kind = Some(ExchangeKind::Fanout)),
        declare_with("temp-queue://Q", |asked| asked.durable = true),
        delete("queue://*"),
        delete_both,
        bind("queue://Q", "queue://R"),
        bind("exchange://E", "topic://T"),
        bind("exchange://E", "queue://*"),
        Verb::Query(Box::new(Query::Explain(destination("queue://*")))),
        settle(2, 1),
        Verb::Transact(Transact::Begin),
    ];
    for verb in bad {
        let mut client = Broker::open().connected();
        assert_eq!(client.ask(verb.clone()), [(1, Reason::Invalid, false)], "{verb:?}");
        assert_eq!(client.reached(), []);
    }
    let good = [
        attach("queue://A,topic://B"),
        attach("queue://A*"),
        subscribe("queue://A.*,topic://#"),
        subscribe_with("queue://Q", |asked| asked.browse = true),
        subscribe_with("topic://T.#", |asked| (asked.durable, asked.name) = (true, Some("n".to_owned()))),
        declare_with("exchange://E", |asked| asked.exchange_kind = Some(ExchangeKind::Topic)),
        declare_with("exchange://E", |asked| asked.passive = true),
        bind("exchange://E", "queue://Q"),
        bind("exchange://E", "exchange://F"),
        Verb::Query(Box::new(Query::List(destination("queue://#")))),
        settle(1, 1),
    ];
    for verb in good {
        assert_eq!(Broker::open().connected().ask(verb.clone()), [], "{verb:?}");
    }
}
