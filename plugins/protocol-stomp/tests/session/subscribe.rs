// SPDX-License-Identifier: Apache-2.0
//! `SUBSCRIBE`, `UNSUBSCRIBE`, `ACK`, `NACK`.

use crate::peer::{Peer, Sample};
use sabir_model::verb::{Outcome, SettleRange, Subscribe, Verb};

fn subscribe_of(peer: &mut Peer) -> Subscribe {
    match peer.take().verb {
        Verb::Subscribe(subscribe) => *subscribe,
        other => panic!("{other:?}"),
    }
}

fn subscribed(connect: &str, headers: &str) -> Subscribe {
    let mut peer = Peer::logged_in("1.2", connect, "{}");
    peer.send(format!("SUBSCRIBE\nid:s\n{headers}\n\0"));
    if peer.requests.is_empty() {
        panic!("{}", peer.text());
    }
    subscribe_of(&mut peer)
}

#[track_caller]
fn refused(connect: &str, headers: &str, words: &str) {
    let mut peer = Peer::logged_in("1.2", connect, "{}");
    peer.send(format!("SUBSCRIBE\nid:s\nreceipt:r\n{headers}\n\0"));
    assert!(peer.requests.is_empty());
    let error = peer.expect_error(words);
    assert!(error.contains("receipt-id:r\n"), "{error}");
}

#[test]
fn a_plain_subscription_is_accepted_by_the_broker_and_has_a_window() {
    let subscribe = subscribed("", "destination:/queue/q\n");
    assert_eq!(subscribe.destinations[0].to_string(), "queue://q");
    assert!(subscribe.auto_accept && !subscribe.link_credit && !subscribe.durable && !subscribe.browse);
    assert_eq!((subscribe.credit, subscribe.priority, subscribe.selector), (1000, 0, None));
}

#[test]
fn every_option_is_understood_in_the_spelling_of_activemq_and_rabbitmq() {
    let subscribe = subscribed(
        "",
        "destination:/queue/a,b\nack:client\nselector:x > 5\nactivemq.prefetchSize:5\nactivemq.exclusive:true\n\
         activemq.priority:-7\nactivemq.noLocal:true\nactivemq.retroactive:true\nactivemq.dispatchAsync:false\n",
    );
    assert_eq!(subscribe.destinations.len(), 2);
    assert!(!subscribe.auto_accept && subscribe.exclusive && subscribe.no_local);
    assert_eq!((subscribe.credit, subscribe.priority), (5, -7));
    assert_eq!(subscribe.selector.as_deref(), Some("convert_string_expressions:x > 5"));
    assert_eq!(subscribed("", "destination:q\nprefetch-count:9\n").credit, 9);
    assert_eq!(subscribed("", "destination:q\nprefetch-count:0\n").credit, 65_535);
    assert_eq!(subscribed("", "destination:q\nactivemq.prefetchSize:99999999\n").credit, 65_535);
    assert!(subscribed("", "destination:q\nno-local:true\n").no_local);
    assert!(subscribed("", "destination:q\nauto-delete:true\n").auto_delete);
    let browse = subscribed("", "destination:q\nbrowser:true\n");
    assert!(browse.browse && !browse.auto_accept);
}

#[test]
fn durable_subscriptions_have_a_name_of_a_client_id() {
    for header in ["activemq.subscriptionName", "activemq.subcriptionName", "durable-subscription-name"] {
        let subscribe = subscribed("client-id:desk\n", &format!("destination:/topic/t\n{header}:news\n"));
        assert!(subscribe.durable && !subscribe.shared);
        assert_eq!(subscribe.name.as_deref(), Some("news"));
    }
    refused("", "destination:/topic/t\nactivemq.subscriptionName:news\n", "client-id");
    refused("client-id:desk\n", "destination:/queue/q\nactivemq.subscriptionName:news\n", "only topics");
}

#[test]
fn rabbitmqs_durable_names_the_subscription_by_its_id_and_destination() {
    let subscribe = subscribed("", "destination:/topic/t\ndurable:true\nauto-delete:false\n");
    assert!(subscribe.durable && subscribe.shared && !subscribe.auto_delete);
    assert_eq!(subscribe.name.as_deref(), Some("s topic://t"));
    let other = subscribed("", "destination:/topic/u\ndurable:true\n");
    assert_eq!(other.name.as_deref(), Some("s topic://u"));
    let owned = subscribed("client-id:desk\n", "destination:/topic/t\ndurable:true\n");
    assert!(owned.durable && !owned.shared);
    assert_eq!(owned.name.as_deref(), Some("s"));
    assert!(!subscribed("", "destination:/queue/q\ndurable:true\n").durable);
}

#[test]
fn options_that_cannot_be_are_refused_with_the_receipt() {
    refused("", "", "SUBSCRIBE has no header destination");
    refused("", "destination:/queue/q\nack:sometimes\n", "client-individual");
    refused("", "destination:/queue/q\nactivemq.prefetchSize:0\n", "above 0");
    refused("", "destination:/queue/q\nprefetch-count:-1\n", "above 0");
    refused("", "destination:/queue/q\nactivemq.priority:300\n", "-128 to 127");
    refused("", "destination:/queue/q\nbrowser:maybe\n", "true or false");
    refused("", "destination:/nonsense/q\n", "/queue/");
}

#[test]
fn only_1_0_may_leave_the_id_out() {
    for version in ["1.1", "1.2"] {
        let mut peer = Peer::connected(version);
        peer.send("SUBSCRIBE\ndestination:/queue/q\n\n\0");
        peer.expect_error("SUBSCRIBE has no header id");
    }
    let mut peer = Peer::connected("1.0");
    peer.send("SUBSCRIBE\ndestination: /queue/q\n\n\0");
    assert_eq!(peer.take().id, 1);
    peer.deliver(&[Sample::text("x").to(1, 1)]);
    assert!(!peer.text().contains("subscription:"));
    peer.send("UNSUBSCRIBE\ndestination:/queue/q\n\n\0");
    let unsubscribe = peer.take();
    assert!(matches!(unsubscribe.verb, Verb::Unsubscribe { forget: false }) && unsubscribe.id == 1);
}

#[test]
fn an_id_is_free_again_once_it_was_unsubscribed() {
    let mut peer = Peer::connected("1.2");
    peer.send("SUBSCRIBE\nid:s\ndestination:/queue/q\n\n\0UNSUBSCRIBE\nid:s\n\n\0SUBSCRIBE\nid:s\ndestination:/queue/q\n\n\0");
    let ids: Vec<u64> = peer.requests.iter().map(|request| request.id).collect();
    assert_eq!(ids, [1, 1, 2]);
    peer.send("SUBSCRIBE\nid:s\ndestination:/queue/q\n\n\0");
    peer.expect_error("active already");
}

#[test]
fn a_durable_subscription_is_deleted_whether_or_not_it_is_active() {
    let mut peer = Peer::logged_in("1.2", "client-id:desk\n", "{}");
    peer.send(
        "SUBSCRIBE\nid:s\ndestination:/topic/t\nactivemq.subscriptionName:news\n\n\0UNSUBSCRIBE\nid:s\n\n\0",
    );
    let _ = peer.take();
    assert!(matches!(peer.take().verb, Verb::Unsubscribe { forget: false }));
    peer.send("UNSUBSCRIBE\nid:s\nactivemq.subscriptionName:news\n\n\0");
    let Verb::Delete(delete) = peer.take().verb else { panic!() };
    assert_eq!((delete.subscription_name.as_deref(), delete.destination), (Some("news"), None));
    peer.send("SUBSCRIBE\nid:s\ndestination:/topic/t\nactivemq.subscriptionName:news\n\n\0");
    peer.send("UNSUBSCRIBE\nid:s\nactivemq.subscriptionName:news\n\n\0");
    let _ = peer.take();
    assert!(matches!(peer.take().verb, Verb::Unsubscribe { forget: true }));
    peer.send("UNSUBSCRIBE\nid:other\nreceipt:r\n\n\0");
    peer.expect_error("no such subscription");
}

#[test]
fn too_many_subscriptions_are_refused() {
    let mut peer = Peer::logged_in("1.2", "", r#"{"max_subscriptions": 2}"#);
    for id in 0..3 {
        peer.send(format!("SUBSCRIBE\nid:{id}\ndestination:/queue/q\n\n\0"));
    }
    peer.expect_error("max_subscriptions is 2");
}

fn settled(version: &str, ack: &str, frame: &str) -> (u64, SettleRange, Outcome) {
    let mut peer = Peer::connected(version);
    peer.send(format!("SUBSCRIBE\nid:s\ndestination:/queue/q\nack:{ack}\n\n\0"));
    let _ = peer.take();
    let mut sample = Sample::text("x");
    sample.fields[0].1 = b"m-1".to_vec();
    let first = sample.to(1, 5);
    sample.fields[0].1 = b"m:2".to_vec();
    peer.deliver(&[first, sample.to(1, 6)]);
    peer.send(frame);
    if peer.requests.is_empty() {
        panic!("{}", peer.text());
    }
    let request = peer.take();
    let Verb::Settle(settle) = request.verb else { panic!() };
    (request.id, settle.range, settle.outcome)
}

#[test]
fn client_counts_for_all_before_and_client_individual_for_one() {
    let one = SettleRange::Tags { first: 6, last: 6 };
    for (version, frame) in [
        ("1.2", "ACK\nid:1-6\n\n\0"),
        ("1.1", "ACK\nsubscription:s\nmessage-id:m\\c2\n\n\0"),
        ("1.0", "ACK\nmessage-id:m:2\n\n\0"),
        ("1.0", "ACK\nsubscription:s\nmessage-id: m:2\n\n\0"),
    ] {
        assert_eq!(
            settled(version, "client", frame),
            (1, SettleRange::UpTo(6), Outcome::Accept),
            "{version}"
        );
        assert_eq!(settled(version, "client-individual", frame), (1, one, Outcome::Accept), "{version}");
    }
}

#[test]
fn nack_goes_to_the_dead_letters_or_with_requeue_back() {
    let one = SettleRange::Tags { first: 5, last: 5 };
    let (_, range, outcome) = settled("1.2", "client-individual", "NACK\nid:1-5\n\n\0");
    assert!(range == one && matches!(outcome, Outcome::Reject { .. }));
    let (_, _, outcome) =
        settled("1.1", "client", "NACK\nsubscription:s\nmessage-id:m-1\nrequeue:true\n\n\0");
    assert_eq!(outcome, Outcome::Release { delay_ms: None });
    let (_, _, outcome) = settled("1.2", "client", "NACK\nid:1-5\nrequeue:false\n\n\0");
    assert!(matches!(outcome, Outcome::Reject { .. }));
}

#[test]
fn acknowledgements_of_nothing_are_refused_with_the_receipt() {
    for (version, ack, frame, words) in [
        ("1.2", "client", "ACK\nreceipt:r\n\n\0", "ACK has no header id"),
        ("1.2", "client", "ACK\nid:7-1\nreceipt:r\n\n\0", "names no message"),
        ("1.2", "client", "ACK\nid:1\nreceipt:r\n\n\0", "names no message"),
        ("1.2", "client", "ACK\nid:+1-1\nreceipt:r\n\n\0", "names no message"),
        ("1.2", "client", "ACK\nid:1-99999999999999999999\nreceipt:r\n\n\0", "names no message"),
        ("1.2", "auto", "ACK\nid:1-1\nreceipt:r\n\n\0", "ack:auto"),
        ("1.1", "client", "ACK\nmessage-id:m\nreceipt:r\n\n\0", "ACK has no header subscription"),
        ("1.1", "client", "ACK\nsubscription:s\nreceipt:r\n\n\0", "ACK has no header message-id"),
        ("1.1", "client", "ACK\nsubscription:x\nmessage-id:m\nreceipt:r\n\n\0", "no such subscription"),
        ("1.1", "client", "NACK\nsubscription:s\nmessage-id:m\nreceipt:r\n\n\0", "names no message"),
        ("1.1", "auto", "ACK\nsubscription:s\nmessage-id:m\nreceipt:r\n\n\0", "ack:auto"),
        ("1.0", "client", "ACK\nmessage-id:m\nreceipt:r\n\n\0", "names no message"),
        ("1.0", "client", "NACK\nmessage-id:m\nreceipt:r\n\n\0", "1.0 has no NACK"),
    ] {
        let mut peer = Peer::connected(version);
        peer.send(format!("SUBSCRIBE\nid:s\ndestination:/queue/q\nack:{ack}\n\n\0"));
        peer.send(frame);
        let error = peer.expect_error(words);
        assert!(error.contains("receipt-id:r\n"), "{error}");
    }
}

#[test]
fn a_message_cannot_be_acknowledged_twice_before_1_2() {
    let mut peer = Peer::connected("1.1");
    peer.send("SUBSCRIBE\nid:s\ndestination:/queue/q\nack:client\n\n\0");
    peer.deliver(&[Sample::text("x").to(1, 7)]);
    peer.send("ACK\nsubscription:s\nmessage-id:m-1\n\n\0ACK\nsubscription:s\nmessage-id:m-1\n\n\0");
    peer.expect_error("names no message");
}
