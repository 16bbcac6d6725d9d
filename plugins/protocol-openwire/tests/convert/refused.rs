// SPDX-License-Identifier: Apache-2.0
//! Messages that cannot cross, and why; and what an annotation that nobody wrote does.

use crate::support::*;
use bytes::Bytes;
use sabir_model::message::{Field, Fixed, HeadWriter, Message as Canonical};
use sabir_protocol_openwire::codec::{
    Blob, BrokerId, Command, DataStructure, Destination, DestinationKind, Message, MessageId, MessageKind,
};
use sabir_protocol_openwire::convert::{ConvertError, Names};
use std::sync::Arc;

fn refusal(change: impl FnOnce(&mut Message)) -> ConvertError {
    let mut sent = text("x");
    change(&mut sent);
    published_from(&sent, &Bytes::new()).expect_err("refused")
}

#[test]
fn a_message_without_id_or_destination_is_refused() {
    assert_eq!(refusal(|sent| sent.message_id = None), ConvertError::Missing("id"));
    assert_eq!(refusal(|sent| sent.message_id = Some(MessageId::default())), ConvertError::Missing("id"));
    assert_eq!(refusal(|sent| sent.destination = None), ConvertError::Missing("destination"));
    let empty = Arc::new(Destination::new(DestinationKind::Queue, " ,"));
    assert_eq!(refusal(|sent| sent.destination = Some(empty)), ConvertError::Missing("destination"));
}

#[test]
fn spans_outside_of_the_frame_are_refused() {
    assert_eq!(
        refusal(|sent| sent.content = Some(Blob::Span(0..usize::MAX))),
        ConvertError::Detached("content")
    );
    assert_eq!(
        refusal(|sent| sent.marshalled_properties = Some(Blob::Span(7..9))),
        ConvertError::Detached("properties")
    );
}

#[test]
fn what_is_longer_than_a_field_is_refused_by_name() {
    let long = || Some("x".repeat(70_000).into_boxed_str());
    for (expected, refusal) in [
        ("type", refusal(|sent| sent.message_type = long())),
        ("correlation id", refusal(|sent| sent.correlation_id = long())),
        ("group", refusal(|sent| sent.group_id = long())),
        ("user", refusal(|sent| sent.user_id = long())),
        ("id", refusal(|sent| sent.message_id.as_mut().unwrap().text_view = long())),
    ] {
        assert_eq!(refusal, ConvertError::TooLong { what: expected, limit_bytes: 65_535 });
    }
    let broker = Arc::new(BrokerId { value: "b".repeat(30_000).into() });
    let path = Some(vec![broker.clone(), broker.clone(), broker]);
    assert!(matches!(refusal(|sent| sent.broker_path = path), ConvertError::Rest(_)));
}

#[test]
fn numbers_out_of_their_range_are_brought_into_it() {
    let mut sent = text("x");
    (sent.priority, sent.expiration) = (99, -5);
    let canonical = published(&sent);
    assert_eq!((canonical.head().priority(), canonical.head().expiration_ms()), (9, 0));
    sent.priority = -1;
    assert_eq!(published(&sent).head().priority(), 0);
}

#[test]
fn a_message_within_a_message_keeps_its_own_body() {
    let mut sent = message(MessageKind::Plain, None);
    let mut within = text("inner");
    let mut innermost = text("innermost");
    innermost.marshalled_properties = Some(vec![0; 4].into());
    within.data_structure = Some(DataStructure::Command(Box::new(Command::Message(Box::new(innermost)))));
    sent.data_structure = Some(DataStructure::Command(Box::new(Command::Message(Box::new(within)))));
    assert_eq!(there_and_back(&sent), with_the_brokers_own(sent));
}

fn annotated(annotation: &[u8]) -> Canonical {
    let mut head = Vec::new();
    let mut writer = HeadWriter::new(&mut head, &Fixed::default());
    assert!(writer.field(Field::Id, b"sabir-1"));
    assert!(writer.field(Field::Destination, b"queue://Q"));
    assert!(writer.annotation("other", b"\x0cwhatever"));
    assert!(writer.annotation("openwire", annotation));
    writer.finish();
    Canonical::split(head.into(), Bytes::new()).unwrap()
}

#[test]
fn an_annotation_that_cannot_be_read_is_passed_over_whatever_it_holds() {
    let mut sent = text("x");
    sent.droppable = true;
    sent.broker_path = Some(vec![Arc::new(BrokerId { value: "b".into() })]);
    let canonical = published(&sent);
    let good = canonical.head().annotation("openwire").unwrap();
    assert!(dispatched(&annotated(good)).droppable);
    for end in 0..good.len() {
        assert!(!dispatched(&annotated(&good[..end])).droppable);
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.to_vec();
            bad[at] ^= 1 << bit;
            let message = dispatched_from(&delivery(&annotated(&bad)), None, &mut Names::new(4)).unwrap();
            assert_eq!(message.destination.unwrap().to_string(), "queue://Q");
        }
    }
}

#[test]
fn a_destination_that_openwire_does_not_have_is_refused_and_such_a_reply_to_is_left_out() {
    let canonical = |destination: &[u8]| {
        let mut head = Vec::new();
        let mut writer = HeadWriter::new(&mut head, &Fixed::default());
        assert!(writer.field(Field::Id, b"sabir-1"));
        assert!(writer.field(Field::Destination, destination));
        assert!(writer.field(Field::ReplyTo, b"exchange://E"));
        writer.finish();
        Canonical::split(head.into(), Bytes::new()).unwrap()
    };
    assert_eq!(dispatched(&canonical(b"queue://Q")).reply_to, None);
    let refused = dispatched_from(&delivery(&canonical(b"exchange://E")), None, &mut Names::new(4));
    assert!(matches!(refused, Err(ConvertError::Missing(_))), "{refused:?}");
    // Where it is read is known.
    let from = Arc::new(Destination::new(DestinationKind::Queue, "Q"));
    let read =
        dispatched_from(&delivery(&canonical(b"exchange://E")), Some(&from), &mut Names::new(4)).unwrap();
    assert_eq!((read.destination, read.original_destination), (Some(from), None));
}
