// SPDX-License-Identifier: Apache-2.0
//! Message groups: one consumer for each, in order, and nobody else held up.

use crate::broker::{Broker, Draft, Got, Reaction, draft, subscribe};
use sabir_engine::{Config, DeadLetter, Limits, Policy};
use sabir_model::verb::{Outcome, Subscribe, Transact, Verb};
use std::collections::BTreeMap;

/// A message of the group that its text begins with: `a1` is of `a`; `-1` of none.
fn of_group(text: &str) -> Draft<'_> {
    let group = text.get(..1).filter(|group| *group != "-");
    Draft { group, ..draft(text) }
}

fn send<'t>(broker: &mut Broker, texts: impl IntoIterator<Item = &'t str>) {
    for text in texts {
        let token = broker.publish(1, 1, of_group(text));
        assert_eq!(broker.answer(1, token), Some(Reaction::Done), "publishing {text}");
    }
}

fn close_group(broker: &mut Broker, text: &str) {
    broker.publish(1, 1, Draft { closes_group: true, ..of_group(text) });
}

fn broker_with(policy: Policy) -> Broker {
    let mut broker = Broker::with(Config { default_policy: policy, ..Config::default() });
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    broker
}

fn broker() -> Broker {
    broker_with(Policy::default())
}

/// Sessions 2 and up, each with a consumer of so much credit.
fn consumers(broker: &mut Broker, credits: &[u64]) {
    for (session, credit) in (2..).zip(credits) {
        broker.open(session);
        broker.subscribe(session, 1, &["queue://Q"], *credit);
    }
}

fn accept_all(broker: &mut Broker, session: u64) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let got = broker.got(session);
        if got.is_empty() {
            return texts;
        }
        for one in got {
            broker.accept(session, &one);
            texts.push(one.text);
        }
    }
}

fn texts(got: &[Got]) -> Vec<&str> {
    got.iter().map(|one| one.text.as_str()).collect()
}

#[test]
fn all_messages_of_a_group_go_to_one_consumer_and_groups_are_spread() {
    let mut broker = broker();
    consumers(&mut broker, &[100, 100]);
    send(&mut broker, ["a1", "b1", "a2", "c1", "b2", "a3", "d1", "c2", "d2"]);
    assert_eq!(broker.texts(2), ["a1", "a2", "a3", "d1", "d2"]);
    assert_eq!(broker.texts(3), ["b1", "c1", "b2", "c2"]);
}

#[test]
fn the_first_message_of_a_group_for_a_consumer_says_so() {
    let mut broker = broker();
    consumers(&mut broker, &[100]);
    send(&mut broker, ["a1", "a2", "-x"]);
    let got = broker.got(2);
    assert_eq!(got.iter().map(|one| one.group_first).collect::<Vec<_>>(), [true, false, false]);
    broker.open(3);
    broker.subscribe(3, 1, &["queue://Q"], 100);
    broker.close(2);
    let again = broker.got(3);
    assert_eq!(texts(&again), ["a1", "a2", "-x"]);
    assert_eq!(again.iter().map(|one| one.group_first).collect::<Vec<_>>(), [true, false, false]);
    // Coming again to the consumer that has the group is no beginning.
    broker.release(3, &again[0]);
    assert!(!broker.got(3)[0].group_first);
}

#[test]
fn a_group_whose_consumer_has_no_credit_holds_up_nobody_else() {
    let mut broker = broker();
    consumers(&mut broker, &[1, 100]);
    send(&mut broker, ["a1", "b1", "a2", "a3", "b2", "-1", "c1", "a4"]);
    let first = broker.got(2);
    assert_eq!(texts(&first), ["a1"]);
    assert_eq!(broker.texts(3), ["b1", "b2", "-1", "c1"]);
    broker.accept(2, &first[0]);
    assert_eq!(accept_all(&mut broker, 2), ["a2", "a3", "a4"]);
    assert!(broker.got(3).is_empty());
}

#[test]
fn a_consumer_that_goes_gives_up_its_groups_and_their_order_is_kept() {
    let mut broker = broker();
    consumers(&mut broker, &[2, 100]);
    send(&mut broker, ["a1", "b1", "a2", "a3", "b2", "a4"]);
    assert_eq!((broker.texts(2), broker.texts(3)), (strings(&["a1", "a2"]), strings(&["b1", "b2"])));
    broker.close(2);
    let got = broker.got(3);
    assert_eq!(texts(&got), ["a1", "a2", "a3", "a4"]);
    assert!(got[0].group_first && got[0].redelivered && got[2].label.is_empty() && !got[2].redelivered);
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_message_that_comes_back_goes_to_the_same_consumer_before_what_followed_it() {
    let mut broker = broker();
    consumers(&mut broker, &[1, 100]);
    send(&mut broker, ["a1", "b1", "a2"]);
    for _ in 0..3 {
        let got = broker.got(2);
        assert_eq!(texts(&got), ["a1"]);
        broker.release(2, &got[0]);
    }
    assert_eq!(accept_all(&mut broker, 2), ["a1", "a2"]);
    assert_eq!(broker.texts(3), ["b1"]);
}

#[test]
fn nothing_of_a_group_overtakes_a_message_whose_redelivery_is_put_off() {
    let mut broker = broker_with(Policy { redelivery_delay_ms: 1_000, ..Policy::default() });
    consumers(&mut broker, &[1, 100]);
    send(&mut broker, ["a1", "b1", "a2", "a3"]);
    let got = broker.got(2);
    broker.release(2, &got[0]);
    send(&mut broker, ["a4", "b2"]);
    assert!(broker.got(2).is_empty());
    assert_eq!(broker.texts(3), ["b1", "b2"]);
    broker.pass(999);
    assert!(broker.got(2).is_empty());
    // Its consumer may go meanwhile; the group waits all the same.
    broker.close(2);
    assert!(broker.got(3).is_empty());
    broker.pass(2);
    let got = broker.got(3);
    assert_eq!(texts(&got), ["a1", "a2", "a3", "a4"]);
    assert_eq!((got[0].count, got[0].group_first, got[1].count), (1, true, 0));
    for one in &got {
        broker.accept(3, one);
    }
    let mut broker = broker.crash(0);
    consumers(&mut broker, &[0, 0]);
    assert_eq!(broker.engine.stats().messages, 2);
}

#[test]
fn a_message_that_is_put_off_counts_its_attempts_and_ends_as_a_dead_letter() {
    let policy = Policy { redelivery_delay_ms: 1_000, max_redeliveries: 2, ..Policy::default() };
    let mut broker = broker_with(policy);
    consumers(&mut broker, &[1]);
    send(&mut broker, ["a1", "a2"]);
    for attempt in 0..3 {
        let got = broker.got(2);
        assert_eq!((texts(&got), got[0].count), (vec!["a1"], attempt));
        broker.release(2, &got[0]);
        broker.pass(1_000);
    }
    assert_eq!(broker.texts(2), ["a2"]);
    assert_eq!(broker.engine.stats().dead_lettered_attempts, 1);
}

#[test]
fn what_a_transaction_gives_back_comes_again_in_order() {
    let mut broker = broker();
    consumers(&mut broker, &[3, 100]);
    send(&mut broker, ["a1", "a2", "a3", "a4", "b1"]);
    broker.transact(2, 5, Transact::Begin);
    let got = broker.got(2);
    for one in &got[..2] {
        broker.settle_in(2, 5, 1, one.tag, Outcome::Accept);
    }
    assert_eq!(broker.texts(2), ["a4"]);
    broker.done(2, 1, 0, Verb::Credit { amount: 100, set: true, drain: false });
    broker.transact(2, 5, Transact::Rollback);
    assert_eq!(broker.texts(2), ["a1", "a2"]);
    assert_eq!(broker.texts(3), ["b1"]);
}

#[test]
fn a_closed_group_begins_anew_with_whoever_has_the_fewest() {
    let mut broker = broker();
    consumers(&mut broker, &[1, 100]);
    send(&mut broker, ["a1"]);
    let first = broker.got(2);
    close_group(&mut broker, "a2");
    send(&mut broker, ["a3", "a4"]);
    assert!(broker.got(3).is_empty());
    broker.accept(2, &first[0]);
    assert_eq!(broker.texts(2), ["a2"]);
    let got = broker.got(3);
    assert_eq!(texts(&got), ["a3", "a4"]);
    assert_eq!((got[0].group_first, got[1].group_first), (true, false));
}

#[test]
fn a_consumer_with_a_selector_gets_of_its_groups_what_it_wants_and_the_rest_waits() {
    let mut broker = broker();
    broker.open(2);
    let red = Subscribe { selector: Some("color = 'red'".into()), ..subscribe(&["queue://Q"]) };
    broker.subscribe_with(2, 1, red);
    for (text, color) in [("a1", "red"), ("a2", "blue"), ("b1", "blue"), ("a3", "red")] {
        broker.publish(1, 1, Draft { color: Some(color), ..of_group(text) });
    }
    assert_eq!(broker.texts(2), ["a1", "a3"]);
    broker.open(3);
    broker.subscribe(3, 1, &["queue://Q"], 100);
    // The group is another's, who does not want this one of it.
    assert_eq!(broker.texts(3), ["b1"]);
    broker.close(2);
    assert_eq!(broker.texts(3), ["a1", "a2", "a3"]);
}

#[test]
fn consumers_of_higher_priority_get_the_groups_while_they_have_credit() {
    let mut broker = broker();
    consumers(&mut broker, &[100]);
    broker.open(3);
    broker.subscribe_with(3, 1, Subscribe { priority: 5, credit: 2, ..subscribe(&["queue://Q"]) });
    send(&mut broker, ["a1", "b1", "c1", "a2", "c2"]);
    let got = broker.got(3);
    assert_eq!(texts(&got), ["a1", "b1"]);
    assert_eq!(broker.texts(2), ["c1", "c2"]);
    broker.accept(3, &got[1]);
    assert_eq!(broker.texts(3), ["a2"]);
}

#[test]
fn an_exclusive_consumer_gets_all_groups_and_they_are_spread_when_it_goes() {
    let mut broker = broker();
    consumers(&mut broker, &[100, 100]);
    send(&mut broker, ["a1", "b1"]);
    assert_eq!(
        (accept_all(&mut broker, 2), accept_all(&mut broker, 3)),
        (strings(&["a1"]), strings(&["b1"]))
    );
    broker.open(4);
    broker.subscribe_with(4, 1, Subscribe { exclusive: true, ..subscribe(&["queue://Q"]) });
    send(&mut broker, ["a2", "b2"]);
    let got = broker.got(4);
    assert_eq!(texts(&got), ["a2", "b2"]);
    assert!(got[0].group_first && got[1].group_first);
    broker.close(4);
    assert_eq!((broker.texts(2), broker.texts(3)), (strings(&["a2"]), strings(&["b2"])));
}

#[test]
fn groups_survive_a_crash_in_order() {
    let mut broker = broker();
    send(&mut broker, ["a1", "b1", "a2", "b2", "a3"]);
    let mut broker = broker.crash(0);
    consumers(&mut broker, &[1, 100]);
    let mut got = accept_all(&mut broker, 2);
    assert_eq!(got.len(), got.iter().filter(|text| text.starts_with(&got[0][..1])).count());
    got.extend(broker.texts(3));
    let group = |name: &str| got.iter().filter(|text| text.starts_with(name)).cloned().collect::<Vec<_>>();
    assert_eq!((group("a"), group("b")), (strings(&["a1", "a2", "a3"]), strings(&["b1", "b2"])));
}

#[test]
fn groups_stay_where_they_are_when_a_consumer_comes_unless_policy_spreads_them() {
    for (group_rebalance, expected) in [(false, vec![]), (true, vec!["a3", "a4"])] {
        let mut broker = broker_with(Policy { group_rebalance, ..Policy::default() });
        consumers(&mut broker, &[100]);
        send(&mut broker, ["a1", "b1"]);
        let got = broker.got(2);
        broker.open(3);
        broker.subscribe(3, 1, &["queue://Q"], 100);
        // Nothing of a group is delivered elsewhere while something of it is in flight.
        send(&mut broker, ["a3", "b3"]);
        assert!(broker.got(3).is_empty());
        for one in &got {
            broker.accept(2, one);
        }
        send(&mut broker, ["a4", "b4"]);
        let moved = broker.texts(3);
        let stayed = broker.texts(2);
        assert_eq!(moved.len() + stayed.len(), 4);
        assert_eq!(moved.len(), expected.len(), "{moved:?} {stayed:?}");
        assert!(moved.is_empty() || moved == ["a3", "a4"] || moved == ["b3", "b4"], "{moved:?}");
    }
}

#[test]
fn expired_messages_of_a_group_whose_consumer_is_stuck_go_all_the_same() {
    let mut broker = broker_with(Policy { dead_letter: DeadLetter::Discard, ..Policy::default() });
    consumers(&mut broker, &[1, 100]);
    send(&mut broker, ["a1", "b1"]);
    let expiration_ms = broker.now.unix_ms + 100;
    for text in ["a2", "a3"] {
        broker.publish(1, 1, Draft { expiration_ms, ..of_group(text) });
    }
    send(&mut broker, ["a4"]);
    broker.pass(60_000);
    assert_eq!(broker.engine.stats().expired, 2);
    assert_eq!(accept_all(&mut broker, 2), ["a1", "a4"]);
    assert_eq!(accept_all(&mut broker, 3), ["b1"]);
    let stats = broker.engine.stats();
    assert_eq!((stats.messages, stats.resident_bytes), (0, 0));
}

#[test]
fn a_deep_queue_of_groups_is_drained_in_order_with_little_memory() {
    let default_policy = Policy { resident_bytes: 64 << 10, ..Policy::default() };
    let limits = Limits { page_records: 16, ..Limits::default() };
    let mut broker = Broker::with(Config { default_policy, limits, ..Config::default() });
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    let all: Vec<String> = (0..1_000).map(|n| format!("{}{n}", ["a", "b", "c", "d", "e"][n % 5])).collect();
    send(&mut broker, all.iter().map(String::as_str));
    let mut broker = broker.crash(0);
    consumers(&mut broker, &[1, 7, 30]);
    let mut got: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    loop {
        let mut any = false;
        for session in 2..=4 {
            for one in broker.got(session) {
                any = true;
                broker.accept(session, &one);
                got.entry(session).or_default().push(one.text);
            }
            assert!(broker.engine.stats().resident_bytes <= 64 << 10);
        }
        if !any {
            break;
        }
    }
    assert_eq!(got.values().map(Vec::len).sum::<usize>(), 1_000);
    for group in ["a", "b", "c", "d", "e"] {
        let whose: Vec<u64> = got
            .iter()
            .filter(|(_, texts)| texts.iter().any(|t| t.starts_with(group)))
            .map(|(s, _)| *s)
            .collect();
        assert_eq!(whose.len(), 1, "group {group} went to {whose:?}");
        let order: Vec<usize> =
            got[&whose[0]].iter().filter(|t| t.starts_with(group)).map(|t| t[1..].parse().unwrap()).collect();
        assert!(order.is_sorted(), "{order:?}");
    }
    let stats = broker.engine.stats();
    assert_eq!((stats.messages, stats.resident_bytes), (0, 0));
}

#[test]
fn a_browser_sees_what_waits_for_the_consumer_of_its_group() {
    let mut broker = broker();
    consumers(&mut broker, &[1]);
    send(&mut broker, ["a1", "a2", "a3"]);
    broker.open(5);
    broker.subscribe_with(5, 1, Subscribe { browse: true, ..subscribe(&["queue://Q"]) });
    assert_eq!(broker.texts(5), ["a2", "a3"]);
}
