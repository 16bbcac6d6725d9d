// SPDX-License-Identifier: Apache-2.0
//! Redelivery, dead letters, expiration and delays.

use crate::broker::{Broker, Draft, Reaction, draft, subscribe};
use crate::topics::{bind, exchange};
use sabir_engine::{Config, DeadLetter, Input, Policy, PolicyRule};
use sabir_model::verb::{Delete, ExchangeKind, Outcome, Reason, Subscribe, Verb};
use sabir_model::{Destination, fields};

fn broker_with(policy: Policy) -> Broker {
    let config = Config { policies: vec![PolicyRule::new("Q", policy).unwrap()], ..Config::default() };
    let mut broker = Broker::with(config);
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    broker
}

fn label(bytes: &[u8]) -> Vec<(u16, String)> {
    fields::iter(bytes)
        .map(|field| field.unwrap())
        .map(|(field, value)| (field, String::from_utf8(value.to_vec()).unwrap()))
        .collect()
}

#[test]
fn a_poison_message_reaches_the_dead_letters_after_seven_deliveries() {
    let mut broker = broker_with(Policy::default());
    broker.publish_all(1, 1, ["poison"]);
    broker.subscribe(1, 1, &["queue://Q"], 10);
    for attempt in 0..7 {
        let got = broker.got(1);
        assert_eq!((got[0].count, got[0].redelivered), (attempt, attempt > 0));
        broker.release(1, &got[0]);
    }
    assert!(broker.got(1).is_empty());
    broker.subscribe(1, 2, &["queue://ActiveMQ.DLQ"], 10);
    let dead = broker.got(1);
    assert_eq!(
        label(&dead[0].label),
        [
            (fields::LABEL_ORIGIN, "queue://Q".to_owned()),
            (fields::LABEL_CAUSE, "delivered 7 times without being accepted".to_owned())
        ]
    );
    broker.accept(1, &dead[0]);
    assert_eq!((broker.store.durable_entries(), broker.store.attempt_keys()), (0, 0));
}

#[test]
fn attempts_count_on_across_restarts() {
    let mut broker = broker_with(Policy::default());
    broker.publish_all(1, 1, ["poison", "innocent"]);
    for attempt in 0..7 {
        broker.open(2);
        broker.subscribe(2, 1, &["queue://Q"], 10);
        let got = broker.got(2);
        assert_eq!((got[0].text.as_str(), got[0].count), ("poison", attempt));
        // Its consumer dies with it; the other message was not looked at.
        broker.close(2);
        broker = broker.crash(9);
    }
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    let got = broker.got(2);
    assert_eq!((got.len(), got[0].text.as_str(), got[0].count, got[0].redelivered), (1, "innocent", 0, true));
    broker.subscribe(2, 2, &["queue://ActiveMQ.DLQ"], 10);
    assert_eq!(broker.texts(2), ["poison"]);
}

#[test]
fn after_a_crash_what_was_delivered_says_so_and_what_was_not_does_not() {
    let mut broker = broker_with(Policy::default());
    broker.publish_all(1, 1, ["a", "b", "c"]);
    broker.subscribe(1, 1, &["queue://Q"], 2);
    broker.commit();
    let mut broker = broker.crash(0);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    let flags: Vec<bool> = broker.got(2).iter().map(|got| got.redelivered).collect();
    assert_eq!(flags, [true, true, false]);
}

#[test]
fn a_rejected_message_goes_to_the_dead_letters_with_the_reason_as_one_record() {
    let mut broker = broker_with(Policy::default());
    broker.publish_all(1, 1, ["bad"]);
    broker.subscribe(1, 1, &["queue://Q"], 10);
    let got = broker.got(1);
    let reject = Outcome::Reject { reason: "no such order".into() };
    assert_eq!(broker.settle(1, 1, got[0].tag, reject), Reaction::Done);
    assert_eq!((broker.store.durable_entries(), broker.store.durable_records()), (1, 1));
    let mut broker = broker.crash(0);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://ActiveMQ.DLQ"], 10);
    let dead = broker.got(2);
    assert_eq!(label(&dead[0].label)[1].1, "rejected: no such order");
    // Rejected again it stays a dead letter, and is put off.
    let again = Outcome::Reject { reason: String::new() };
    broker.settle(2, 1, dead[0].tag, again);
    assert!(broker.got(2).is_empty());
    broker.pass(2_000);
    let dead = broker.got(2);
    assert_eq!(
        (dead[0].text.as_str(), label(&dead[0].label)[1].1.as_str()),
        ("bad", "rejected: no such order")
    );
}

#[test]
fn policy_decides_where_dead_letters_go_and_whether_there_are_any() {
    for (dead_letter, found) in [
        (DeadLetter::Discard, None),
        (DeadLetter::Shared("DEAD".into()), Some("queue://DEAD")),
        (DeadLetter::Individual("DLQ.".into()), Some("queue://DLQ.Q")),
    ] {
        let mut broker = broker_with(Policy { dead_letter, ..Policy::default() });
        broker.publish_all(1, 1, ["bad"]);
        broker.subscribe(1, 1, &["queue://Q"], 10);
        let got = broker.got(1);
        broker.settle(1, 1, got[0].tag, Outcome::Reject { reason: String::new() });
        match found {
            Some(name) => {
                broker.subscribe(1, 2, &[name], 10);
                assert_eq!(broker.texts(1), ["bad"]);
            }
            None => assert_eq!(broker.store.durable_entries(), 0),
        }
    }
}

#[test]
fn messages_that_are_not_persistent_become_dead_letters_only_by_policy() {
    for wanted in [false, true] {
        let policy = Policy { dead_letter_non_persistent: wanted, ..Policy::default() };
        let mut broker = broker_with(policy);
        broker.publish(1, 1, Draft { persistent: false, ..draft("bad") });
        broker.subscribe(1, 1, &["queue://Q"], 10);
        let got = broker.got(1);
        broker.settle(1, 1, got[0].tag, Outcome::Reject { reason: String::new() });
        broker.subscribe(1, 2, &["queue://ActiveMQ.DLQ"], 10);
        assert_eq!(broker.texts(1).len(), usize::from(wanted));
    }
}

#[test]
fn a_persistent_message_of_a_passing_subscription_becomes_a_durable_dead_letter() {
    let mut broker = broker_with(Policy::default());
    broker.produce(1, 2, &["topic://T"]);
    broker.subscribe(1, 1, &["topic://T"], 10);
    broker.publish_all(1, 2, ["bad"]);
    let got = broker.got(1);
    broker.settle(1, 1, got[0].tag, Outcome::Reject { reason: String::new() });
    let mut broker = broker.crash(0);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://ActiveMQ.DLQ"], 10);
    let dead = broker.got(2);
    assert_eq!(label(&dead[0].label)[0].1, "topic://T");
}

#[test]
fn redelivery_is_put_off_by_policy_with_growing_delays_and_survives_a_crash() {
    let policy = Policy { redelivery_delay_ms: 1_000, redelivery_backoff_percent: 300, ..Policy::default() };
    let mut broker = broker_with(policy);
    broker.publish_all(1, 1, ["a"]);
    broker.subscribe(1, 1, &["queue://Q"], 10);
    let got = broker.got(1);
    broker.release(1, &got[0]);
    broker.pass(990);
    assert!(broker.got(1).is_empty());
    broker.pass(20);
    let got = broker.got(1);
    assert_eq!((got[0].count, got[0].redelivered), (1, true));
    broker.release(1, &got[0]);
    let mut broker = broker.crash(0);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    broker.pass(2_900);
    assert!(broker.got(2).is_empty());
    broker.pass(100);
    let got = broker.got(2);
    assert_eq!(got[0].count, 2);
    broker.accept(2, &got[0]);
    assert_eq!((broker.store.durable_entries(), broker.store.attempt_keys()), (0, 0));
}

#[test]
fn a_return_counts_as_no_attempt() {
    let mut broker = broker_with(Policy::default());
    broker.publish_all(1, 1, ["a"]);
    broker.subscribe(1, 1, &["queue://Q"], 10);
    for _ in 0..20 {
        let got = broker.got(1);
        assert_eq!((got[0].count, got[0].redelivered), (0, false));
        broker.settle(1, 1, got[0].tag, Outcome::Return);
    }
}

#[test]
fn an_expired_message_is_never_delivered_and_becomes_a_dead_letter_that_stays() {
    let mut broker = broker_with(Policy::default());
    let expiration_ms = broker.now.unix_ms + 100;
    broker.publish(1, 1, Draft { expiration_ms, ..draft("late") });
    broker.publish(1, 1, Draft { expiration_ms, persistent: false, ..draft("late and lost") });
    broker.publish_all(1, 1, ["in time"]);
    broker.advance(200);
    broker.subscribe(1, 1, &["queue://Q"], 10);
    assert_eq!(broker.texts(1), ["in time"]);
    broker.subscribe(1, 2, &["queue://ActiveMQ.DLQ"], 10);
    let dead = broker.got(1);
    assert_eq!((dead.len(), dead[0].text.as_str()), (1, "late"));
    assert_eq!(label(&dead[0].label)[1].1, "expired");
}

#[test]
fn a_sweep_finds_expired_messages_that_nobody_consumes_also_after_a_crash() {
    for crash in [false, true] {
        let mut broker = broker_with(Policy::default());
        let expiration_ms = broker.now.unix_ms + 5_000;
        broker.publish(1, 1, Draft { expiration_ms, ..draft("late") });
        broker.publish_all(1, 1, ["keeps"]);
        if crash {
            broker = broker.crash(0);
            broker.open(1);
        }
        broker.pass(70_000);
        assert_eq!(broker.engine.stats().expired, 1);
        broker.subscribe(1, 1, &["queue://Q"], 10);
        assert_eq!(broker.texts(1), ["keeps"]);
        broker.subscribe(1, 2, &["queue://ActiveMQ.DLQ"], 10);
        assert_eq!(broker.texts(1), ["late"]);
    }
}

#[test]
fn a_sweep_and_a_consumer_that_find_the_same_expired_message_make_one_dead_letter_of_it() {
    let mut broker = broker_with(Policy::default());
    let expiration_ms = broker.now.unix_ms + 5_000;
    broker.publish_all(1, 1, ["first"]);
    broker.publish(1, 1, Draft { expiration_ms, ..draft("late") });
    broker.publish_all(1, 1, ["last"]);
    broker = broker.crash(0);
    broker.open(1);
    broker.advance(120_000);
    // The sweep's read is under way when the consumer's page comes, of which it takes the first message.
    broker.engine.handle(broker.now, Input::Tick, &mut broker.out);
    let sweep = broker.out.reads.pop().expect("the sweep reads");
    broker.subscribe(1, 1, &["queue://Q"], 1);
    let (records, _) = broker.store.read(&sweep.read);
    broker.input(Input::Records { read: sweep.id, records, error: None });
    assert_eq!(broker.engine.stats().expired, 1);
    broker.done(1, 1, 0, Verb::Credit { amount: 10, set: false, drain: false });
    assert_eq!(broker.texts(1), ["first", "last"]);
    broker.subscribe(1, 2, &["queue://ActiveMQ.DLQ"], 10);
    assert_eq!((broker.texts(1), broker.engine.stats().expired), (vec!["late".to_owned()], 1));
}

#[test]
fn a_delayed_message_comes_when_it_is_due_and_not_before_also_after_a_crash() {
    for (delay, persistent, crash) in [
        (50, true, false),
        (50, false, false),
        (500_000, true, false),
        (500_000, true, true),
        (20_000, false, false),
    ] {
        let mut broker = broker_with(Policy::default());
        let deliver_at_ms = broker.now.unix_ms + delay;
        let token = broker.publish(1, 1, Draft { deliver_at_ms, persistent, ..draft("later") });
        assert_eq!(broker.answer(1, token), Some(Reaction::Done));
        if crash {
            broker = broker.crash(0);
            broker.open(1);
        }
        broker.subscribe(1, 1, &["queue://Q"], 10);
        let left = (deliver_at_ms - broker.now.unix_ms) as u64;
        broker.pass(left - 1);
        assert!(broker.got(1).is_empty(), "{delay} {persistent}");
        broker.pass(2);
        let got = broker.got(1);
        assert_eq!(got.len(), 1, "{delay} {persistent} {crash}");
        broker.accept(1, &got[0]);
        assert_eq!((broker.store.durable_entries(), broker.store.temporary_entries()), (0, 0));
    }
}

#[test]
fn delayed_messages_come_in_the_order_of_their_time() {
    let mut broker = broker_with(Policy::default());
    broker.subscribe(1, 1, &["queue://Q"], 10);
    let now = broker.now.unix_ms;
    for (text, delay) in [("third", 90_000), ("first", 10), ("second", 20)] {
        broker.publish(1, 1, Draft { deliver_at_ms: now + delay, ..draft(text) });
    }
    broker.pass(100_000);
    assert_eq!(broker.texts(1), ["first", "second", "third"]);
}

#[test]
fn a_delayed_message_to_a_topic_reaches_those_who_are_subscribed_when_it_is_due() {
    let mut broker = broker_with(Policy::default());
    broker.produce(1, 2, &["topic://T", "queue://Q"]);
    let deliver_at_ms = broker.now.unix_ms + 60_000;
    broker.publish(1, 2, Draft { deliver_at_ms, ..draft("later") });
    broker.open_as(2, Some("client"));
    broker.subscribe(2, 1, &["topic://T"], 10);
    let durable = Subscribe { durable: true, name: Some("s".into()), ..subscribe(&["topic://T"]) };
    broker.subscribe_with(2, 2, durable);
    broker.pass(61_000);
    assert_eq!(broker.texts(2), ["later", "later"]);
    // One record: of the durable subscription and of the queue.
    assert_eq!((broker.store.durable_entries(), broker.store.durable_records()), (2, 1));
}

#[test]
fn a_delayed_message_reaches_a_queue_once_whichever_of_its_destinations_lead_there() {
    for persistent in [true, false] {
        let mut broker = broker_with(Policy::default());
        broker.produce(1, 2, &["topic://a.b", "topic://a.c", "queue://Q"]);
        broker.open_as(2, Some("client"));
        let durable = Subscribe { durable: true, name: Some("s".into()), ..subscribe(&["topic://a.*"]) };
        broker.subscribe_with(2, 1, durable);
        let deliver_at_ms = broker.now.unix_ms + 60_000;
        let token = broker.publish(1, 2, Draft { deliver_at_ms, persistent, ..draft("later") });
        assert_eq!(broker.answer(1, token), Some(Reaction::Done));
        if persistent {
            broker = broker.crash(usize::MAX);
            broker.open_as(2, Some("client"));
            let durable = Subscribe { durable: true, name: Some("s".into()), ..subscribe(&["topic://a.*"]) };
            broker.subscribe_with(2, 1, durable);
        }
        broker.pass(61_000);
        assert_eq!(broker.texts(2), ["later"]);
        broker.subscribe(2, 2, &["queue://Q"], 10);
        assert_eq!(broker.texts(2), ["later"]);
    }
}

fn delete(broker: &mut Broker, destination: &str) {
    let delete = Delete {
        destination: Some(Destination::parse(destination).unwrap()),
        subscription_name: None,
        if_empty: false,
        if_unused: false,
    };
    broker.done(1, 0, 0, Verb::Delete(Box::new(delete)));
}

/// Puts a message off for a minute that goes to `destinations`, and has the queue `Q` deleted meanwhile.
fn due_without_its_queue(config: Config, destinations: &[&str], one: Draft<'_>) -> Broker {
    let mut broker = Broker::with(config);
    broker.open(1);
    assert_eq!(broker.declare(1, "queue://Q"), Reaction::Done);
    broker.produce(1, 1, destinations);
    let deliver_at_ms = broker.now.unix_ms + 60_000;
    let token = broker.publish(1, 1, Draft { deliver_at_ms, ..one });
    assert_eq!(broker.answer(1, token), Some(Reaction::Done));
    delete(&mut broker, "queue://Q");
    broker
}

#[test]
fn a_delayed_message_whose_queue_cannot_be_made_again_becomes_a_dead_letter_with_its_cause() {
    for (persistent, crash) in [(true, false), (true, true), (false, false)] {
        let policy = Policy { dead_letter_non_persistent: true, ..Policy::default() };
        let mut config = Config { default_policy: policy, ..Config::default() };
        config.limits.max_queues = 1;
        let one = Draft { persistent, ..draft("later") };
        let mut broker = due_without_its_queue(config, &["queue://Q", "topic://T"], one);
        broker.produce(1, 2, &["queue://Other"]);
        broker.publish_all(1, 2, ["takes the last place"]);
        if crash {
            broker = broker.crash(usize::MAX);
            broker.open(1);
        }
        broker.pass(61_000);
        assert_eq!(broker.engine.stats().dead_lettered_unroutable, 1, "{persistent} {crash}");
        broker = if persistent { broker.crash(usize::MAX) } else { broker };
        broker.open(2);
        broker.subscribe_with(2, 1, Subscribe { browse: true, ..subscribe(&["queue://ActiveMQ.DLQ"]) });
        broker.done(2, 1, 0, Verb::Credit { amount: 10, set: false, drain: false });
        let dead = broker.got(2);
        assert_eq!(dead.len(), 1, "{persistent} {crash}");
        assert_eq!(dead[0].text, "later");
        let cause = "could not be delivered when it was due: there are 1 queues and subscriptions already \
                     (limits.max_queues)";
        assert_eq!(
            label(&dead[0].label),
            [(fields::LABEL_ORIGIN, "queue://Q".to_owned()), (fields::LABEL_CAUSE, cause.to_owned())]
        );
        assert_eq!(broker.engine.stats().delayed, 0);
    }
}

#[test]
fn a_delayed_message_to_a_queue_that_policy_does_not_make_again_takes_the_way_of_that_queues_policy() {
    for (dead_letter, found) in [
        (DeadLetter::Individual("DLQ.".into()), Some("queue://DLQ.Q")),
        (DeadLetter::Shared("Graveyard".into()), Some("queue://Graveyard")),
        (DeadLetter::Discard, None),
    ] {
        let policy = Policy { auto_create: false, dead_letter, ..Policy::default() };
        let config = Config { policies: vec![PolicyRule::new("Q", policy).unwrap()], ..Config::default() };
        let mut broker = due_without_its_queue(config, &["topic://T", "queue://Q"], draft("later"));
        broker.subscribe(1, 1, &["topic://T"], 10);
        broker.pass(61_000);
        assert_eq!(broker.texts(1), ["later"], "the others get theirs");
        let stats = broker.engine.stats();
        let counted = (stats.dead_lettered_unroutable, stats.dropped);
        let Some(found) = found else {
            assert_eq!((counted, broker.store.durable_entries()), ((0, 1), 0));
            continue;
        };
        assert_eq!(counted, (1, 0));
        broker.subscribe(1, 2, &[found], 10);
        assert_eq!(broker.texts(1), ["later"], "{found}");
    }
}

#[test]
fn a_delayed_message_to_an_exchange_that_leads_nowhere_becomes_a_dead_letter() {
    let mut broker = Broker::new();
    broker.open(1);
    exchange(&mut broker, "E", ExchangeKind::Direct);
    assert_eq!(broker.declare(1, "queue://Q"), Reaction::Done);
    broker.done(1, 0, 0, bind("exchange://E", "queue://Q", "k", None));
    broker.produce(1, 1, &["exchange://E/k"]);
    let deliver_at_ms = broker.now.unix_ms + 60_000;
    let token = broker.publish(1, 1, Draft { deliver_at_ms, ..draft("later") });
    assert_eq!(broker.answer(1, token), Some(Reaction::Done));
    delete(&mut broker, "queue://Q");
    broker.pass(61_000);
    broker.subscribe(1, 1, &["queue://ActiveMQ.DLQ"], 10);
    assert_eq!(broker.texts(1), ["later"]);
}

#[test]
fn a_delayed_message_goes_with_the_one_queue_that_it_was_sent_to() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    let deliver_at_ms = broker.now.unix_ms + 60_000;
    broker.publish(1, 1, Draft { deliver_at_ms, ..draft("later") });
    let if_empty = Verb::Delete(Box::new(Delete {
        destination: Some(Destination::queue("Q").unwrap()),
        subscription_name: None,
        if_empty: true,
        if_unused: true,
    }));
    assert_eq!(broker.ask(1, 0, 0, if_empty), Reaction::Refused(Reason::Conflict), "it is not empty");
    delete(&mut broker, "queue://Q");
    broker.pass(61_000);
    let stats = broker.engine.stats();
    assert_eq!((stats.delayed, stats.dead_lettered, broker.store.durable_entries()), (0, 0, 0));
}

#[test]
fn a_delay_beyond_the_limit_is_refused() {
    let mut broker = broker_with(Policy::default());
    let deliver_at_ms = broker.now.unix_ms + 400 * 24 * 3_600_000;
    let token = broker.publish(1, 1, Draft { deliver_at_ms, ..draft("never") });
    assert_eq!(broker.answer(1, token), Some(Reaction::Refused(Reason::Limit)));
}

#[test]
fn released_messages_come_before_those_that_were_not_tried_and_in_order() {
    let mut broker = broker_with(Policy::default());
    broker.publish_all(1, 1, ["a", "b", "c"]);
    broker.subscribe(1, 1, &["queue://Q"], 2);
    let got = broker.got(1);
    broker.done(1, 1, 0, Verb::Unsubscribe { forget: false });
    assert_eq!(got.len(), 2);
    broker.subscribe(1, 2, &["queue://Q"], 10);
    assert_eq!(broker.texts(1), ["a", "b", "c"]);
}
