// SPDX-License-Identifier: Apache-2.0
//! JMSMessageID: OpenWire's own and others'.

use crate::support::*;
use sabir_model::message::{Field, Fixed, HeadWriter, Message as Canonical};
use sabir_protocol_openwire::codec::{MessageId, ProducerId};
use sabir_protocol_openwire::convert::Names;
use std::collections::HashSet;
use std::sync::Arc;

fn canonical(id: &str) -> Canonical {
    let mut head = Vec::new();
    let mut writer = HeadWriter::new(&mut head, &Fixed::default());
    assert!(writer.field(Field::Id, id.as_bytes()));
    assert!(writer.field(Field::Destination, b"queue://Q"));
    writer.finish();
    Canonical::split(head.into(), bytes::Bytes::new()).unwrap()
}

fn id_text(message: &Canonical) -> String {
    message.head().text(Field::Id).unwrap().to_owned()
}

const FOREIGN: [&str; 13] = [
    "sabir-9f3-17",
    "ID:sabir-9f3-17",
    "17",
    "x",
    "a:b:c:d",
    "a:1:2:03",
    "a:1:+2:3",
    ":1:2:3",
    "x:-1:-1:5",
    "a007",
    "a99999999999999999999",
    "gr\u{fc}n-\u{1f600}-4",
    "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
];

#[test]
fn an_id_of_openwire_is_its_text() {
    for id in
        ["ID:host.example-40123-1700000000000-1:1:1:2:7", "c:0:0:0", "ID:a:b:1:-1:4:9223372036854775807"]
    {
        let message = dispatched(&canonical(id));
        let found = message.message_id.clone().unwrap();
        assert_eq!(found.text_view, None, "{id}");
        assert_eq!(found.to_string(), id);
        assert_eq!(found.broker_sequence_id, TAG as i64);
        assert_eq!(message.producer_id, found.producer_id);
        assert_eq!(id_text(&published(&message)), id);
    }
}

#[test]
fn an_id_of_another_protocol_is_the_text_view_and_survives_versions_that_have_none() {
    for id in FOREIGN {
        let mut message = dispatched(&canonical(id));
        let found = message.message_id.clone().unwrap();
        assert_eq!(found.text_view.as_deref(), Some(id));
        assert_eq!(id_text(&published(&message)), id);
        // Up to version 9 the text view is not sent.
        message.message_id.as_mut().unwrap().text_view = None;
        let again = published(&message);
        assert_eq!(id_text(&again), id);
        assert_eq!(again.head().annotation("openwire"), None);
        assert_eq!(dispatched(&again).message_id.unwrap().text_view.as_deref(), Some(id));
    }
}

/// Clients compare producer and sequence, and look for repetitions by them.
#[test]
fn ids_of_other_protocols_differ_in_producer_or_sequence() {
    let ids = FOREIGN.iter().map(|id| (*id).to_owned());
    let counted = (0..100).map(|number| format!("sabir-9f3-{number}x-{}", 100 - number));
    let mut names = Names::new(16);
    let keys: Vec<_> = ids
        .chain(counted)
        .map(|id| {
            let message = dispatched_from(&delivery(&canonical(&id)), None, &mut names).unwrap();
            let id = message.message_id.unwrap();
            (id.producer_id, id.producer_sequence_id)
        })
        .collect();
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
}

#[test]
fn messages_of_one_sender_of_another_protocol_share_a_producer() {
    let mut names = Names::new(16);
    let mut producer = |id: &str| {
        let message = dispatched_from(&delivery(&canonical(id)), None, &mut names).unwrap();
        message.producer_id.unwrap()
    };
    assert!(Arc::ptr_eq(&producer("sabir-9f3-17"), &producer("sabir-9f3-18")));
}

#[test]
fn a_text_view_beside_numbers_of_its_own_keeps_both() {
    let mut sent = text("x");
    sent.message_id.as_mut().unwrap().text_view = Some("foreign-54".into());
    let canonical = published(&sent);
    assert_eq!(id_text(&canonical), "foreign-54");
    assert_eq!(dispatched(&canonical), with_the_brokers_own(sent));
}

#[test]
fn a_producers_own_count_is_told_and_that_of_a_message_passed_on_is_not() {
    let mut sent = text("x");
    assert_eq!(published(&sent).head().producer_sequence(), Some(7));
    let bridge = ProducerId { connection_id: "bridge".into(), value: 1, session_id: 1 };
    sent.producer_id = Some(Arc::new(bridge));
    let canonical = published(&sent);
    assert_eq!(canonical.head().producer_sequence(), None);
    assert_eq!(dispatched(&canonical).producer_id, sent.producer_id);
    let id = sent.message_id.as_mut().unwrap();
    *id = MessageId { producer_sequence_id: -1, ..id.clone() };
    sent.producer_id = sent.message_id.as_ref().unwrap().producer_id.clone();
    assert_eq!(published(&sent).head().producer_sequence(), None);
}
