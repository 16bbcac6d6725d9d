// SPDX-License-Identifier: Apache-2.0
//! What ends up in the log. A program of its own, because what is logged where is decided once per process.

#[path = "stack/support.rs"]
#[allow(dead_code, unused_imports)]
mod support;

use sabir_model::verb::Reason;
use sabir_stack::policy::Rules;
use sabir_stack::{Limits, Policy};
use std::io::Write;
use std::sync::{Arc, Mutex};
use support::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged while this is done.
fn logged(work: impl FnOnce()) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn a_refused_log_in_is_told_with_the_user_and_the_address_and_without_the_password() {
    let ann = users(&[("ann", &[])]);
    let broker = Broker::new(Policy::new(ann, Rules::default(), Limits::default()));
    let text = logged(|| {
        let mut client = broker.client_from("10.0.0.7:1234");
        client.ask(connect(Some("ann"), Some("the-secret")));
        client.ask(connect(Some(&"x\n".repeat(10_000)), None));
        client.ask(log_in("ann"));
    });
    let told: Vec<&str> = text.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(told.len(), 2, "{text}");
    assert!(told[0].contains("user=\"ann\" peer=10.0.0.7:1234"), "{text}");
    assert!(told[1].len() < 1200 && told[1].contains("x\\nx"), "{text}");
    assert!(!text.contains("the-secret"), "{text}");
}

#[test]
fn rare_verbs_and_refusals_are_logged_and_messages_passwords_and_control_characters_are_not() {
    let text = logged(|| {
        let mut client = Broker::open().client();
        client.ask(connect(Some("ann\nINJECTED"), Some("the-secret")));
        client.ask(attach("queue://ORDERS"));
        assert_eq!(client.ask(publish()), []);
        assert_eq!(client.ask(subscribe("exchange://E")), [(1, Reason::Invalid, false)]);
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].contains("verb=\"connect\"") && lines[0].contains("ann\\nINJECTED"), "{text}");
    assert!(lines[1].contains("verb=\"attach\"") && lines[1].contains("detail=queue://ORDERS"), "{text}");
    assert!(lines[2].contains("verb=\"subscribe\""), "{text}");
    assert!(lines[3].contains("refused") && lines[3].contains("reason=Invalid"), "{text}");
    assert!(!text.contains("the-secret") && !text.contains("publish"), "{text}");
}
