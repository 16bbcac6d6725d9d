// SPDX-License-Identifier: Apache-2.0
//! A medium that takes hardly anything, or nothing for a while: producers wait, heartbeats go on, nothing is lost.

use crate::machine::{Kind, Scene, Throttle, must};
use sabir_tests::load::Load;
use sabir_tests::stomp::Client;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the broker is asked to show that it lives.
const BEAT_MS: &str = "500";
/// The longest silence that is taken for life on a busy machine.
const SILENCE: Duration = Duration::from_secs(5);

/// Listens to the heartbeats of a broker.
pub struct Pulse {
    stop: Arc<AtomicBool>,
    listener: JoinHandle<Duration>,
}

impl Pulse {
    pub fn begin(address: SocketAddr) -> Pulse {
        let client = Client::connect_with(address, &[("heart-beat", &format!("0,{BEAT_MS}"))]);
        let client = client.expect("the broker is there");
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let listener = std::thread::spawn(move || {
            let mut stream = client.stream();
            stream.set_read_timeout(Some(Duration::from_millis(100))).expect("it can be set");
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            while !told.load(SeqCst) {
                if stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                }
            }
            longest.max(last.elapsed())
        });
        Pulse { stop, listener }
    }

    /// The longest silence. Too long a one fails the test.
    pub fn end(self) -> Duration {
        self.stop.store(true, SeqCst);
        let longest = self.listener.join().expect("the listener has ended");
        assert!(longest < SILENCE, "no heartbeat came for {longest:?}");
        longest
    }
}

/// Five operations a second.
pub fn throttled(scene: &mut Scene, count: u32) -> String {
    let volume = scene.volume(Kind::Ext4, 64);
    must_be_direct(&volume.mount.display().to_string());
    let throttle = Throttle::make(&volume.device());
    let mut options = scene.broker(&volume.mount.join("data"));
    options.under.extend(throttle.under());
    let mut load = Load::default();
    let (mut silence, mut slowest) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..count {
        let broker = options.start();
        let address = broker.address;
        load.live(address, 300, || {
            throttle.set(5);
            let pulse = Pulse::begin(address);
            let mut client = Client::connect(address).expect("a slow broker takes connections");
            for _ in 0..5 {
                let began = Instant::now();
                client.publish("/queue/slow", b"x").expect("a receipt");
                slowest = slowest.max(began.elapsed());
            }
            silence = silence.max(pulse.end());
            throttle.set(0);
            broker.kill();
        });
    }
    let broker = options.start();
    let outcome = load.drain(broker.address);
    outcome.must_be_good();
    broker.kill();
    assert!(slowest > Duration::from_millis(100), "the throttle does nothing: {slowest:?}");
    format!(
        "a publish took up to {:.1} s, a heartbeat {:.1} s; {} confirmed, none lost",
        slowest.as_secs_f64(),
        silence.as_secs_f64(),
        outcome.confirmed
    )
}

// Through the page cache the device is as fast as memory.
fn must_be_direct(mount: &str) {
    let output = std::process::Command::new("findmnt").args(["-n", "-o", "SOURCE", mount]).output();
    let device = String::from_utf8_lossy(&output.expect("findmnt starts").stdout).trim().to_owned();
    must("losetup", &["--direct-io=on", &device]);
}

/// Nothing at all for some seconds.
pub fn frozen(scene: &mut Scene, count: u32) -> String {
    const FOR: Duration = Duration::from_secs(3);
    let volume = scene.volume(Kind::Ext4, 64);
    let mount = volume.mount.display().to_string();
    let options = scene.broker(&volume.mount.join("data"));
    let mut load = Load::default();
    let mut silence = Duration::ZERO;
    for _ in 0..count {
        let broker = options.start();
        let address = broker.address;
        load.live(address, 300, || {
            let pulse = Pulse::begin(address);
            let mut client = Client::connect(address).expect("the broker is there");
            // It thaws whatever becomes of this program.
            let script =
                format!("fsfreeze -f {mount} && echo frozen && sleep {}; fsfreeze -u {mount}", FOR.as_secs());
            let mut freezer = std::process::Command::new("sh")
                .args(["-c", &script])
                .stdout(std::process::Stdio::piped())
                .spawn()
                .expect("sh starts");
            let mut word = [0; 6];
            freezer.stdout.as_mut().expect("piped").read_exact(&mut word).expect("it is frozen");
            let began = Instant::now();
            client.publish("/queue/frozen", b"x").expect("a receipt");
            let held = began.elapsed();
            assert!(held > FOR / 2, "a publish was confirmed in {held:?} on a frozen disk");
            assert!(freezer.wait().expect("it has ended").success(), "it does not thaw");
            silence = silence.max(pulse.end());
            broker.kill();
        });
    }
    let broker = options.start();
    let outcome = load.drain(broker.address);
    outcome.must_be_good();
    format!(
        "publishes were held, a heartbeat took {:.1} s; {} confirmed, none lost",
        silence.as_secs_f64(),
        outcome.confirmed
    )
}
