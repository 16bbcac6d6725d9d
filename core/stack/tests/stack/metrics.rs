// SPDX-License-Identifier: Apache-2.0
//! What is counted.

use crate::support::*;
use sabir_model::verb::Reason;
use sabir_stack::policy::Rules;
use sabir_stack::verb_kind::VerbKind;
use sabir_stack::{Limits, Policy};

#[test]
fn every_verb_and_every_refusal_is_counted_once() {
    let broker = Broker::new(Policy::new(users(&[("ann", &[])]), Rules::default(), Limits::default()));
    let mut client = broker.client();
    let asked = vec![
        request(1, 0, log_in("ann")),
        request(2, 1, attach("queue://Q")),
        request(3, 1, publish()),
        request(4, 1, publish()),
        request(5, 9, publish()),
        request(6, 1, subscribe("exchange://E")),
    ];
    assert_eq!(client.ask_all(asked).len(), 2);
    client.answered(&[done(3), refused(4)]).unwrap();
    let counted = broker.shared.metrics.protocol("test");
    assert_eq!(counted.requests(VerbKind::Connect), 1);
    assert_eq!(counted.requests(VerbKind::Publish), 3);
    assert_eq!(counted.requests(VerbKind::Subscribe), 1);
    assert_eq!(counted.refusals(Reason::NotFound), 1);
    assert_eq!(counted.refusals(Reason::Invalid), 1);
    assert_eq!(counted.refusals(Reason::Conflict), 1);
    let mut text = String::new();
    broker.shared.metrics.render(&mut text);
    assert!(text.contains("# TYPE sabir_requests_total counter\n"));
    assert!(text.contains("sabir_requests_total{protocol=\"test\",verb=\"publish\"} 3\n"));
    assert!(text.contains("sabir_refusals_total{protocol=\"test\",reason=\"notfound\"} 1\n"));
    assert!(text.contains("sabir_confirmations_total{protocol=\"test\"} 1\n"));
}

#[test]
fn a_wrong_password_is_counted() {
    let broker = Broker::new(Policy::new(users(&[("ann", &[])]), Rules::default(), Limits::default()));
    broker.client().ask(connect(Some("ann"), Some("wrong")));
    assert_eq!(broker.shared.metrics.protocol("test").refusals(Reason::Unauthenticated), 1);
}

#[test]
fn a_publish_is_measured_from_asking_to_its_answer_and_a_refused_one_not_at_all() {
    let broker = Broker::open();
    let mut client = broker.connected();
    client.now.monotonic_ms = 1_000;
    client.ask_all(vec![
        request(1, 1, attach("queue://Q")),
        request(2, 1, publish()),
        request(3, 1, publish()),
    ]);
    client.now.monotonic_ms = 1_004;
    // Nobody has made this producer: an inner layer refuses it.
    assert_eq!(client.ask_all(vec![request(4, 9, publish())]).len(), 1);
    client.answered(&[done(1), done(2), done(3)]).unwrap();
    let counted = broker.shared.metrics.protocol("test");
    assert_eq!(counted.publish_latency().count(), 2);
    let mut text = String::new();
    broker.shared.metrics.render(&mut text);
    let name = "sabir_publish_latency_seconds";
    assert!(text.contains(&format!("# TYPE {name} histogram\n")), "{text}");
    assert!(text.contains(&format!("{name}_bucket{{protocol=\"test\",le=\"0.0025\"}} 0\n")), "{text}");
    assert!(text.contains(&format!("{name}_bucket{{protocol=\"test\",le=\"0.005\"}} 2\n")), "{text}");
    assert!(text.contains(&format!("{name}_sum{{protocol=\"test\"}} 0.008\n")), "{text}");
    // The refused one holds up nobody behind it.
    client.ask_all(vec![request(5, 1, publish())]);
    client.answered(&[done(5)]).unwrap();
    assert_eq!(counted.publish_latency().count(), 3);
}
