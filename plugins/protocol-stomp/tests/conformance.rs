// SPDX-License-Identifier: Apache-2.0
//! The protocol suite over STOMP, through the tables of the plugin contract.

use sabir_host::{Capacities, Registry};
use sabir_testkit::protocol::{Script, Step, Subject, run};

const SCRIPTS: [(&str, &str); 7] = [
    ("login", include_str!("../conformance/login.script")),
    ("send-1.2", include_str!("../conformance/send-1.2.script")),
    ("subscribe-1.2", include_str!("../conformance/subscribe-1.2.script")),
    ("client-1.1", include_str!("../conformance/client-1.1.script")),
    ("plain-1.0", include_str!("../conformance/plain-1.0.script")),
    ("refused", include_str!("../conformance/refused.script")),
    ("error", include_str!("../conformance/error.script")),
];

fn subject() -> Subject {
    let mut registry = Registry::new();
    registry.add(&sabir_protocol_stomp::PLUGIN).unwrap();
    let scripts = SCRIPTS.iter().map(|(name, text)| Script::parse(name, text).unwrap()).collect();
    let mut subject = Subject::new(registry.protocol("stomp").unwrap(), scripts);
    // The largest step of the scripts: two temporary or composite destinations made, attached and sent to.
    subject.least = Capacities { verbs: 3, arena_bytes: 600, segments: 3, owned: 0 };
    subject.idle_bytes = 2048;
    subject
}

#[test]
fn stomp_keeps_every_contract_of_a_protocol() {
    let report = run(&subject());
    println!("{report}");
    assert!(report.all_passed(), "{report}");
}

#[test]
fn a_script_that_expects_too_much_fails() {
    let mut subject = subject();
    subject.scripts.truncate(1);
    subject.scripts[0].steps.push(Step::Expect { closed: true });
    let report = run(&subject);
    assert!(report.failures().any(|case| case.id == "protocol.script"), "{report}");
}
