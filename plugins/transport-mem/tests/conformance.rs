// SPDX-License-Identifier: Apache-2.0
//! The contracts of transports, kept by mem alone and by what stands on it.

use sabir_host::{Registry, Transport};
use sabir_testkit::transport::{Profile, Subject, run, wrapping};

fn open(scheme: &str) -> Result<Transport, String> {
    let mut registry = Registry::new();
    for plugin in [&sabir_transport_mem::PLUGIN, &wrapping::PLUGIN] {
        registry.add(plugin).map_err(|error| error.to_string())?;
    }
    let component = registry.transport(scheme).ok_or_else(|| format!("there is no transport {scheme}"))?;
    component.open_transport("{}").map_err(|error| error.to_string())
}

fn assert_kept(subject: impl FnOnce() -> Result<Subject, String> + Send + 'static) {
    let report = run(subject);
    assert!(report.all_passed(), "{report}");
}

#[test]
fn mem_keeps_every_contract() {
    assert_kept(|| Ok(Subject::new(Profile::stream("mem", "mem://suite-{n}"), open("mem")?)));
}

#[test]
fn mem_with_messages_keeps_every_contract() {
    assert_kept(|| {
        let profile = Profile::messages("mem", "mem://suite-{n}?framing=message");
        Ok(Subject::new(profile, open("mem")?))
    });
}

#[test]
fn mem_with_tiny_buffers_keeps_every_contract() {
    assert_kept(|| {
        let listen = "mem://suite-{n}?framing=message&buffer_bytes=100&buffer_messages=2&backlog=60";
        Ok(Subject::new(Profile::messages("mem", listen), open("mem")?))
    });
}

#[test]
fn a_stream_that_stands_on_mem_keeps_every_contract() {
    assert_kept(|| {
        let profile = Profile { scheme: "xor".to_owned(), ..Profile::stream("mem", "mem://suite-{n}") };
        Ok(Subject::wrapped(profile, open("mem")?, open("xor")?, "xor://"))
    });
}

#[test]
fn messages_that_stand_on_mem_keep_every_contract() {
    assert_kept(|| {
        let profile = Profile { scheme: "framed".to_owned(), ..Profile::messages("mem", "mem://suite-{n}") };
        Ok(Subject::wrapped(profile, open("mem")?, open("framed")?, "framed://"))
    });
}
