// SPDX-License-Identifier: Apache-2.0
//! The contracts of transports, kept by tcp alone and by what stands on it.

use sabir_host::{Registry, Transport};
use sabir_testkit::transport::{Profile, Subject, run, wrapping};

fn open(scheme: &str) -> Result<Transport, String> {
    let mut registry = Registry::new();
    for plugin in [&sabir_transport_tcp::PLUGIN, &wrapping::PLUGIN] {
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
fn tcp_keeps_every_contract() {
    assert_kept(|| Ok(Subject::new(Profile::stream("tcp", "tcp://127.0.0.1:0"), open("tcp")?)));
}

#[test]
fn tcp_over_ipv6_keeps_every_contract() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    assert_kept(|| Ok(Subject::new(Profile::stream("tcp", "tcp://[::1]:0"), open("tcp")?)));
}

#[test]
fn tcp_with_small_buffers_keeps_every_contract() {
    let listen =
        "tcp://127.0.0.1:0?recv_buffer_bytes=4096&send_buffer_bytes=4096&nodelay=false&keepalive_s=0";
    assert_kept(move || Ok(Subject::new(Profile::stream("tcp", listen), open("tcp")?)));
}

#[test]
fn a_stream_that_stands_on_tcp_keeps_every_contract() {
    assert_kept(|| {
        let profile = Profile { scheme: "xor".to_owned(), ..Profile::stream("tcp", "tcp://127.0.0.1:0") };
        Ok(Subject::wrapped(profile, open("tcp")?, open("xor")?, "xor://"))
    });
}

#[test]
fn messages_that_stand_on_tcp_keep_every_contract() {
    assert_kept(|| {
        let profile =
            Profile { scheme: "framed".to_owned(), ..Profile::messages("tcp", "tcp://127.0.0.1:0") };
        Ok(Subject::wrapped(profile, open("tcp")?, open("framed")?, "framed://"))
    });
}
