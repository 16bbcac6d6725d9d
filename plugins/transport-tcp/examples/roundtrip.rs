// SPDX-License-Identifier: Apache-2.0
//! What the plugin boundary costs: the same echo server once on tokio's own sockets and once through the transport
//! ABI, with CPU time of the server's thread per round trip, paired in one run.
//!
//! `cargo run --release -p sabir-transport-tcp --example roundtrip -- [ROUNDS] [MILLISECONDS]`
//!
//! The two servers run one after the other in short turns, in changing order, with the same client; the table gives
//! the median of each turn's ratio. Ratios within one run are what counts: the machine's own numbers are noise.

use rustix::time::{ClockId, clock_gettime};
use sabir_host::{ChunkInfo, Registry};
use std::future::poll_fn;
use std::io::{IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

const BUFFER_BYTES: usize = 64 * 1024;

/// How a server's links carry bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    Abi,
}

/// What one turn of one server came to.
struct Turn {
    round_trips: u64,
    cpu_us: f64,
    wall_us: f64,
}

fn thread_cpu_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// A server on a thread of its own: where it listens, and how to stop it and learn its CPU time.
struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<f64>,
}

fn start(way: Way) -> Server {
    let (stop, stopped) = oneshot::channel();
    let (tell, told) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let before = thread_cpu_us();
        runtime.block_on(async {
            let serve = async {
                match way {
                    Way::Direct => serve_direct(&tell).await,
                    Way::Abi => serve_abi(&tell).await,
                }
            };
            tokio::select! { () = serve => {}, _ = stopped => {} }
        });
        thread_cpu_us() - before
    });
    let address = told.recv().expect("the server's address");
    Server { address, stop, thread }
}

async fn serve_direct(tell: &std::sync::mpsc::Sender<SocketAddr>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    tell.send(listener.local_addr().expect("an address")).expect("the main thread");
    loop {
        let (mut stream, _) = listener.accept().await.expect("a link");
        stream.set_nodelay(true).expect("nodelay");
        tokio::spawn(async move {
            let mut buffer = vec![0; BUFFER_BYTES];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
        });
    }
}

async fn serve_abi(tell: &std::sync::mpsc::Sender<SocketAddr>) {
    let mut registry = Registry::new();
    // SABIR_ROUNDTRIP_PLUGIN: the path of the shared library, to measure it rather than the linked-in copy.
    match std::env::var_os("SABIR_ROUNDTRIP_PLUGIN") {
        Some(path) => registry.load(path.as_ref()).map(drop).expect("the plugin"),
        None => registry.add(&sabir_transport_tcp::PLUGIN).map(drop).expect("the plugin"),
    }
    let tcp = registry.transport("tcp").expect("tcp").open_transport("{}").expect("an instance");
    let mut listener = tcp.listen("tcp://127.0.0.1:0").expect("a listener");
    tell.send(listener.local_address().parse().expect("an address")).expect("the main thread");
    loop {
        let mut link = poll_fn(|cx| listener.poll_accept(cx)).await.expect("a link");
        tokio::spawn(async move {
            let mut buffer = vec![0; BUFFER_BYTES];
            let mut info = ChunkInfo::default();
            while let Ok(count @ 1..) = poll_fn(|cx| link.poll_read(cx, &mut buffer, &mut info)).await {
                let mut rest = &buffer[..count];
                while !rest.is_empty() {
                    match poll_fn(|cx| link.poll_write(cx, &[IoSlice::new(rest)], info)).await {
                        Ok(taken) => rest = &rest[taken..],
                        Err(_) => return,
                    }
                }
            }
        });
    }
}

/// Sends and receives until told to stop: how many round trips (or 64 KiB) that were.
fn client(address: SocketAddr, bytes: usize, stop: &AtomicBool) -> u64 {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("nodelay");
    let out = vec![7; bytes];
    let mut back = vec![0; bytes];
    let mut round_trips = 0;
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(&out).expect("sent");
        stream.read_exact(&mut back).expect("received");
        round_trips += 1;
    }
    round_trips
}

fn turn(way: Way, bytes: usize, clients: usize, time: Duration) -> Turn {
    let server = start(way);
    let stop = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let (address, stop) = (server.address, Arc::clone(&stop));
            thread::spawn(move || client(address, bytes, &stop))
        })
        .collect();
    thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    let round_trips = threads.into_iter().map(|thread| thread.join().expect("a client")).sum();
    let wall_us = began.elapsed().as_secs_f64() * 1e6;
    let _ = server.stop.send(());
    Turn { round_trips, cpu_us: server.thread.join().expect("the server"), wall_us }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let number = |at: usize, default: u64| {
        std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let rounds = number(1, 15);
    let time = Duration::from_millis(number(2, 400));
    println!("{:<28} {:>10} {:>10} {:>9} {:>9}", "", "direct us", "abi us", "cpu", "rate");
    for (name, bytes, clients) in [
        ("ping-pong 64 B, 1 link", 64, 1),
        ("ping-pong 64 B, 32 links", 64, 32),
        ("streaming 64 KiB, 1 link", 65536, 1),
        ("streaming 64 KiB, 8 links", 65536, 8),
    ] {
        let (mut direct_us, mut abi_us, mut cpu, mut rate) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            // The first one finds the caches cold: they take turns.
            let order = if round % 2 == 0 { [Way::Direct, Way::Abi] } else { [Way::Abi, Way::Direct] };
            let mut turns = order.map(|way| (way, turn(way, bytes, clients, time)));
            turns.sort_by_key(|(way, _)| *way == Way::Abi);
            let [(_, direct), (_, abi)] = turns;
            let per = |turn: &Turn| turn.cpu_us / turn.round_trips.max(1) as f64;
            direct_us.push(per(&direct));
            abi_us.push(per(&abi));
            cpu.push(per(&abi) / per(&direct));
            let speed = |turn: &Turn| turn.round_trips as f64 / turn.wall_us;
            rate.push(speed(&abi) / speed(&direct));
        }
        println!(
            "{name:<28} {:>10.2} {:>10.2} {:>8.3}x {:>8.3}x",
            median(&mut direct_us),
            median(&mut abi_us),
            median(&mut cpu),
            median(&mut rate)
        );
    }
    println!(
        "medians of {rounds} paired turns of {} ms; cpu: target at most 1.1x, bound 1.25x",
        time.as_millis()
    );
}
