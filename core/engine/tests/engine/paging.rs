// SPDX-License-Identifier: Apache-2.0
//! Deep queues: what is in memory, and what waits in the store.

use crate::broker::{Broker, Draft, draft, subscribe};
use sabir_engine::{Config, Limits, Policy};
use sabir_model::verb::Subscribe;

const RESIDENT: usize = 20_000;

fn broker() -> Broker {
    let limits = Limits { page_records: 10, page_bytes: 2_000, memory_bytes: 60_000, ..Limits::default() };
    let default_policy = Policy { resident_bytes: RESIDENT, ..Policy::default() };
    let mut broker = Broker::with(Config { limits, default_policy, ..Config::default() });
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    broker
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("message {n:06}")).collect()
}

fn fill(broker: &mut Broker, texts: &[String], persistent: impl Fn(usize) -> bool) {
    for (n, text) in texts.iter().enumerate() {
        broker.publish(1, 1, Draft { persistent: persistent(n), ..draft(text) });
    }
}

/// Consumes with a window of 7 until nothing comes.
fn drain(broker: &mut Broker, session: u64) -> Vec<String> {
    broker.open(session);
    broker.subscribe(session, 1, &["queue://Q"], 7);
    let mut all = Vec::new();
    loop {
        let got = broker.got(session);
        if got.is_empty() {
            return all;
        }
        for one in got {
            broker.accept(session, &one);
            all.push(one.text);
        }
        assert!(broker.engine.stats().resident_bytes < 2 * RESIDENT as u64);
    }
}

#[test]
fn memory_stays_flat_while_a_queue_grows_and_nothing_is_lost_or_out_of_order() {
    for kind in 0..3 {
        let mut broker = broker();
        let texts = texts(2_000);
        fill(&mut broker, &texts, |n| kind == 0 || (kind == 2 && n % 3 == 0));
        let stats = broker.engine.stats();
        assert_eq!(stats.messages, 2_000);
        assert!(stats.resident_bytes < 2 * RESIDENT as u64, "{}", stats.resident_bytes);
        assert_eq!(drain(&mut broker, 2), texts);
        broker.commit();
        let stats = broker.engine.stats();
        assert_eq!((stats.messages, stats.resident_bytes), (0, 0));
        assert_eq!((broker.store.durable_entries(), broker.store.temporary_entries()), (0, 0));
    }
}

#[test]
fn a_backlog_found_at_recovery_costs_no_memory_and_is_read_in_pages() {
    let mut broker = broker();
    let texts = texts(1_000);
    fill(&mut broker, &texts, |_| true);
    let mut broker = broker.crash(0);
    assert_eq!((broker.engine.stats().messages, broker.engine.stats().resident_bytes), (1_000, 0));
    assert_eq!(drain(&mut broker, 2), texts);
    assert!(broker.store.reads <= 1_000 / 10 + 2, "{} reads", broker.store.reads);
}

#[test]
fn a_queue_that_was_deep_goes_back_to_memory_once_its_consumer_has_caught_up() {
    let mut broker = broker();
    fill(&mut broker, &texts(500), |_| true);
    drain(&mut broker, 2);
    let before = broker.store.reads;
    for round in 0..100 {
        broker.publish_all(1, 1, [format!("new {round}").as_str()]);
        let got = broker.got(2);
        assert_eq!(got.len(), 1);
        broker.accept(2, &got[0]);
    }
    assert_eq!(broker.store.reads, before, "nothing that has just been written is read");
}

#[test]
fn a_rare_match_is_found_deep_in_a_queue_and_the_queue_is_not_scanned_again() {
    let mut broker = broker();
    for n in 0..1_000 {
        let color = if n % 250 == 249 { "red" } else { "blue" };
        broker.publish(1, 1, Draft { color: Some(color), ..draft(&format!("message {n}")) });
    }
    broker.open(2);
    let red = Subscribe { selector: Some("color = 'red'".into()), ..subscribe(&["queue://Q"]) };
    broker.subscribe_with(2, 1, red);
    assert_eq!(broker.texts(2), ["message 249", "message 499", "message 749", "message 999"]);
    let scanned = broker.store.reads;
    broker.publish(1, 1, Draft { color: Some("red"), ..draft("one more") });
    broker.publish(1, 1, Draft { color: Some("blue"), ..draft("one less") });
    assert_eq!(broker.texts(2), ["one more"]);
    assert!(broker.store.reads <= scanned + 1, "{} reads after {scanned}", broker.store.reads);
    assert!(broker.engine.stats().resident_bytes < 2 * RESIDENT as u64);
}

#[test]
fn a_large_window_does_not_keep_what_is_in_flight_in_memory_and_brings_it_back_from_the_store() {
    let mut broker = broker();
    let texts = texts(1_000);
    fill(&mut broker, &texts, |_| true);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10_000);
    assert_eq!(broker.texts(2), texts);
    assert!(broker.engine.stats().resident_bytes < RESIDENT as u64);
    broker.close(2);
    broker.open(3);
    broker.subscribe(3, 1, &["queue://Q"], 10_000);
    let again = broker.got(3);
    assert!(again.iter().all(|got| got.redelivered));
    assert_eq!(again.into_iter().map(|got| got.text).collect::<Vec<_>>(), texts);
}

#[test]
fn a_browser_looks_through_a_deep_queue_page_by_page() {
    let mut broker = broker();
    let texts = texts(500);
    fill(&mut broker, &texts, |n| n % 2 == 0);
    broker.open(2);
    broker.subscribe_with(2, 1, Subscribe { browse: true, ..subscribe(&["queue://Q"]) });
    assert_eq!(broker.texts(2), texts);
    assert_eq!(broker.engine.stats().messages, 500);
}

#[test]
fn many_queues_share_the_memory_there_is() {
    let mut broker = broker();
    let texts = texts(100);
    for queue in 0..20 {
        broker.produce(1, 1, &[format!("queue://Q{queue}").as_str()]);
        fill(&mut broker, &texts, |_| true);
    }
    let resident = broker.engine.stats().resident_bytes;
    assert!(resident <= 70_000, "{resident}");
    for queue in 0..20 {
        broker.open(100 + queue);
        broker.subscribe(100 + queue, 1, &[format!("queue://Q{queue}").as_str()], 1_000);
        assert_eq!(broker.texts(100 + queue), texts);
    }
}

#[test]
fn one_slow_subscription_does_not_hold_back_the_others() {
    let mut broker = broker();
    broker.produce(1, 1, &["topic://T"]);
    broker.open(2);
    broker.open(3);
    broker.subscribe(2, 1, &["topic://T"], 1);
    broker.subscribe(3, 1, &["topic://T"], 1_000_000);
    let texts = texts(1_000);
    fill(&mut broker, &texts, |n| n % 2 == 0);
    assert_eq!(broker.texts(3), texts);
    let mut slow = Vec::new();
    loop {
        let got = broker.got(2);
        let Some(one) = got.first() else { break };
        broker.accept(2, one);
        slow.push(one.text.clone());
    }
    assert_eq!(slow, texts);
    assert_eq!(broker.store.durable_entries(), 0);
}

#[test]
fn a_damaged_record_is_passed_over_alone_and_counted() {
    let mut broker = broker();
    fill(&mut broker, &texts(30), |_| true);
    let mut broker = broker.crash(0);
    broker.store.damaged = Some(12);
    let got = drain(&mut broker, 2);
    assert_eq!(got.len(), 29);
    assert!(!got.contains(&"message 000012".to_owned()));
    let stats = broker.engine.stats();
    assert!(stats.damaged > 0);
    assert_eq!(stats.messages, 1);
}

#[test]
fn a_sweep_finds_expired_messages_in_the_overflow_of_a_durable_queue_too() {
    for persistent in [|n: usize| n.is_multiple_of(3), |_| false] {
        let mut broker = broker();
        let expiration_ms = broker.now.unix_ms + 5_000;
        for n in 0..1_000 {
            let expires = if n % 10 == 9 { expiration_ms } else { 0 };
            let text = format!("message {n:06}");
            broker.publish(1, 1, Draft { persistent: persistent(n), expiration_ms: expires, ..draft(&text) });
        }
        assert!(broker.store.temporary_entries() > 500, "most of it found no room in memory");
        broker.pass(120_000);
        assert_eq!(broker.engine.stats().expired, 100);
        broker.commit();
        let kept = texts(1_000).into_iter().enumerate().filter(|(n, _)| n % 10 != 9);
        assert_eq!(drain(&mut broker, 2), kept.map(|(_, text)| text).collect::<Vec<_>>());
    }
}
