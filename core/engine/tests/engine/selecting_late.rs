// SPDX-License-Identifier: Apache-2.0
//! Consumers with a selector that come when messages wait already, whatever these have been through.

use crate::broker::{Broker, Draft, draft, subscribe};
use sabir_model::verb::{Outcome, Settle, SettleRange, Subscribe, Verb};

fn subscribe_selecting(broker: &mut Broker, session: u64, id: u64, destination: &str, selector: &str) {
    let wanted = Subscribe { selector: Some(selector.to_owned()), ..subscribe(&[destination]) };
    broker.ask(session, id, 0, Verb::Subscribe(Box::new(wanted)));
}

#[test]
fn a_selector_finds_what_already_waits_in_a_temporary_queue_that_was_browsed() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.declare(1, "temp-queue://t1");
    broker.open(2);
    broker.produce(2, 1, &["temp-queue://t1"]);
    for priority in [4, 5] {
        broker.publish(2, 1, Draft { priority, ..draft("some") });
    }
    let browse = Subscribe { browse: true, ..subscribe(&["temp-queue://t1"]) };
    broker.ask(1, 3, 0, Verb::Subscribe(Box::new(browse)));
    assert_eq!(broker.texts(1).len(), 2);
    subscribe_selecting(&mut broker, 1, 4, "temp-queue://t1", "JMSPriority = 4");
    assert_eq!(broker.texts(1), ["some"]);
}

#[test]
fn a_selector_on_redelivery_finds_what_was_released_before_its_consumer_came() {
    let mut broker = Broker::new();
    broker.open(1);
    broker.produce(1, 1, &["queue://Q"]);
    broker.publish_all(1, 1, ["again"]);
    broker.open(2);
    broker.subscribe(2, 1, &["queue://Q"], 10);
    let got = broker.got(2);
    let settle =
        Settle { range: SettleRange::UpTo(got[0].tag), outcome: Outcome::Release { delay_ms: Some(0) } };
    broker.ask(2, 1, 0, Verb::Credit { amount: 0, set: true, drain: false });
    broker.ask(2, 1, 0, Verb::Settle(settle));
    broker.close(2);
    broker.open(3);
    subscribe_selecting(&mut broker, 3, 1, "queue://Q", "JMSRedelivered = TRUE");
    assert_eq!(broker.texts(3), ["again"]);
}
