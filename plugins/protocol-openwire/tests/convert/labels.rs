// SPDX-License-Identifier: Apache-2.0
//! What belongs to a delivery: where it is from, how often it was tried, why it is a dead letter.

use crate::support::*;
use bytes::Bytes;
use sabir_model::delivery::{Delivery, DeliveryKind};
use sabir_model::fields::{self, LABEL_CAUSE, LABEL_ORIGIN};
use sabir_protocol_openwire::codec::{Destination, DestinationKind, Message, map};
use sabir_protocol_openwire::convert::Names;
use std::sync::Arc;

fn destination(kind: DestinationKind, name: &str) -> Arc<Destination> {
    Arc::new(Destination::new(kind, name))
}

fn with(mut delivery: Delivery, change: impl FnOnce(&mut Bytes, &mut u32, &mut bool, &mut bool)) -> Delivery {
    let DeliveryKind::Message { label, redelivery_count, redelivered, group_first, .. } = &mut delivery.kind
    else {
        panic!("a message")
    };
    change(label, redelivery_count, redelivered, group_first);
    delivery
}

fn properties(message: &Message) -> map::Map {
    let bytes = bytes(message.marshalled_properties.as_ref()).expect("properties");
    map::read(bytes, map::Limits::default()).unwrap().unwrap()
}

fn told(delivery: &Delivery, from: Option<&Arc<Destination>>) -> Message {
    dispatched_from(delivery, from, &mut Names::new(16)).unwrap()
}

#[test]
fn of_several_destinations_the_client_is_told_the_one_that_it_reads() {
    let mut sent = text("x");
    sent.destination = Some(destination(DestinationKind::Queue, "A, topic://B"));
    let delivery = delivery(&published(&sent));
    let from = destination(DestinationKind::Topic, "B");
    let message = told(&delivery, Some(&from));
    assert_eq!(message.destination, Some(from));
    assert_eq!(message.original_destination, Some(destination(DestinationKind::Queue, "A,topic://B")));
    let message = told(&delivery, None);
    assert_eq!(message.destination, Some(destination(DestinationKind::Queue, "A,topic://B")));
    assert_eq!(message.original_destination, None);
}

#[test]
fn a_message_read_where_it_was_sent_to_has_no_other_destination() {
    let message =
        told(&delivery(&published(&text("x"))), Some(&destination(DestinationKind::Queue, "ORDERS.EU")));
    assert_eq!(message.original_destination, None);
}

#[test]
fn a_dead_letter_tells_its_origin_and_its_cause_once() {
    let mut sent = text("x");
    let mut map = Vec::new();
    let entries = [
        ("dlqDeliveryFailureCause".into(), map::Value::Text("an earlier one".into())),
        ("kept".into(), map::Value::Long(5)),
    ];
    map::write(Some(&entries), &mut map).unwrap();
    sent.marshalled_properties = Some(map.into());
    let dead = with(delivery(&published(&sent)), |label, _, _, _| {
        let mut fields = Vec::new();
        fields::put(&mut fields, LABEL_ORIGIN, b"topic://PRICES");
        fields::put(&mut fields, LABEL_CAUSE, "gr\u{fc}n \u{1f600}\0".as_bytes());
        *label = fields.into();
    });
    let queue = destination(DestinationKind::Queue, "ActiveMQ.DLQ");
    let message = told(&dead, Some(&queue));
    assert_eq!(message.destination, Some(queue));
    assert_eq!(message.original_destination, Some(destination(DestinationKind::Topic, "PRICES")));
    let cause = map::Value::Text("gr\u{fc}n \u{1f600}\0".into());
    assert_eq!(
        properties(&message),
        [("kept".into(), map::Value::Long(5)), ("dlqDeliveryFailureCause".into(), cause)]
    );
}

#[test]
fn a_label_that_is_damaged_is_passed_over() {
    let damaged =
        with(delivery(&published(&text("x"))), |label, _, _, _| *label = Bytes::from_static(b"\x20\0\0"));
    assert_eq!(told(&damaged, None).original_destination, None);
}

#[test]
fn what_was_delivered_before_is_counted_at_least_once() {
    for (count, redelivered, expected) in
        [(0, false, 0), (0, true, 1), (3, true, 3), (u32::MAX, true, i32::MAX)]
    {
        let again = with(delivery(&published(&text("x"))), |_, counted, flag, _| {
            (*counted, *flag) = (count, redelivered);
        });
        assert_eq!(told(&again, None).redelivery_counter, expected);
    }
}

#[test]
fn the_first_of_a_group_is_marked_for_its_consumer() {
    let first = with(delivery(&published(&text("x"))), |_, _, _, first| *first = true);
    assert!(told(&first, None).jmsx_group_first_for_consumer);
    // The broker says so, not the sender.
    let mut sent = text("x");
    sent.jmsx_group_first_for_consumer = true;
    assert!(!there_and_back(&sent).jmsx_group_first_for_consumer);
}
