// SPDX-License-Identifier: Apache-2.0
//! The time of day jumps, and the machine's own clock begins anew.

use crate::machine::{Scene, fake_time};
use crate::slow::Pulse;
use sabir_tests::load::Load;
use sabir_tests::stomp::{Client, Frame, message};
use std::time::Duration;

const HOUR_S: i64 = 3600;
const YEAR_S: i64 = 365 * 24 * HOUR_S;

/// While clients work the time of day goes forward and back by an hour and by ten years.
pub fn jumps(scene: &mut Scene, count: u32) -> String {
    let folder = scene.fresh();
    let (data, offset) = (folder.join("data"), folder.join("offset"));
    let library = fake_time().expect("it was looked for").display().to_string();
    let mut options = scene.broker(&data);
    let variables = [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", offset.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    options.environment.extend(variables.map(|(name, value)| (name.to_owned(), value)));
    let mut load = Load::default();
    let mut slowest = Duration::ZERO;
    for _ in 0..count {
        set(&offset, 0);
        let broker = options.start();
        let mut waiting = Client::connect(broker.address).expect("the broker is there");
        // It must outlast every jump forward: nobody gave it a time to live.
        waiting.publish("/queue/patient", b"patient").expect("a receipt");
        let pulse = Pulse::begin(broker.address);
        load.live(broker.address, 200, || {
            for offset_s in [HOUR_S, -HOUR_S, 10 * YEAR_S, -10 * YEAR_S, 0] {
                set(&offset, offset_s);
                // Work goes on under the new time.
                for _ in 0..20 {
                    waiting.publish("/queue/jumped", b"x").expect("a receipt");
                }
            }
            waiting.subscribe("0", "/queue/patient", "client-individual", 1).expect("a subscription");
            let frame = waiting.receive().expect("the message");
            assert_eq!(frame.text(), "patient");
            waiting.acknowledge(&frame).expect("a receipt");
            slowest = slowest.max(pulse.end());
            broker.kill();
        });
    }
    set(&offset, 0);
    let broker = options.start();
    let outcome = load.drain(broker.address);
    outcome.must_be_good();
    format!(
        "{} confirmed, none lost; a heartbeat every {:.1} s at the least",
        outcome.confirmed,
        slowest.as_secs_f64()
    )
}

fn set(file: &std::path::Path, offset_s: i64) {
    // In one step, or the library may read half of it.
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{offset_s:+}\n")).expect("it can be written");
    std::fs::rename(&new, file).expect("it can be renamed");
}

/// A broker comes back on a machine whose clock since its start is ten years ahead, and then at its beginning.
pub fn uptime(scene: &mut Scene, count: u32) -> String {
    let folder = scene.fresh();
    let mut options = scene.broker(&folder.join("data"));
    let plain = options.under.clone();
    let mut load = Load::default();
    for round in 0..count {
        for offset_s in [10 * YEAR_S, 0] {
            options.under = plain.clone();
            let offset = offset_s.to_string();
            options.under.extend(
                [
                    "unshare",
                    "--time",
                    "--fork",
                    "--kill-child",
                    "--monotonic",
                    &offset,
                    "--boottime",
                    &offset,
                ]
                .map(str::to_owned),
            );
            let broker = options.start();
            let mut client = Client::connect(broker.address).expect("the broker is there");
            // Due after the next restart, by the time of day alone.
            let frame = message("/queue/due", format!("{round}").as_bytes());
            client.confirm(frame.with("AMQ_SCHEDULED_DELAY", "1500")).expect("a receipt");
            load.live(broker.address, 200, || broker.kill());
        }
    }
    options.under = plain;
    let broker = options.start();
    let mut client = Client::connect(broker.address).expect("the broker is there");
    client.subscribe("0", "/queue/due", "auto", 100).expect("a subscription");
    for _ in 0..2 * count {
        client.receive().expect("what is due comes");
    }
    client.confirm(Frame::new("DISCONNECT", &[])).expect("a receipt");
    let outcome = load.drain(broker.address);
    outcome.must_be_good();
    format!("{} confirmed, none lost; what was delayed came", outcome.confirmed)
}
