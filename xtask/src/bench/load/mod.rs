// SPDX-License-Identifier: Apache-2.0
//! The load: a lean STOMP 1.2 client, run as a process of its own so that its costs are not the broker's.
//!
//! One thread drives all connections through epoll, with frames that were built before and large buffers. It knows
//! nothing of the broker that it talks to, so that all brokers get the same load. What one run shall do comes in as a
//! line of JSON on standard input, and what it saw goes out as a line of JSON.
//!
//! ```text
//!   frames      what goes out, built once; what comes in, cut into frames
//!   link        a connection: its socket, its buffers, its log-in
//!   echo        round trips with a server that knows no STOMP
//!   flood       as fast as it goes, within the window
//!   paced       at a fixed rate, with latencies counted from when a message should have been sent
//!   idle        many connections that do nothing
//! ```

pub mod echo;
mod flood;
mod frames;
mod idle;
mod link;
mod paced;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::io::BufRead;
use std::net::SocketAddr;

/// What one run shall do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// Where the broker listens.
    pub address: SocketAddr,
    /// The `host` header: a virtual host.
    pub host: String,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Where messages go and come from.
    pub destination: String,
    /// Connections that send.
    pub producers: usize,
    /// Connections that receive.
    pub consumers: usize,
    /// Bytes of each body.
    pub size_bytes: usize,
    /// Messages that a producer may have unconfirmed, and that a consumer may have unacknowledged.
    pub window: usize,
    /// How often a consumer acknowledges while it receives a window; never more than once for each message.
    pub acks_per_window: usize,
    /// Whether messages are persistent. Then every message has a receipt of its own; otherwise one in a quarter of
    /// a window has.
    pub persistent: bool,
    /// How much, how fast.
    pub pace: Pace,
}

/// How much, how fast.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Pace {
    /// As fast as it goes, counted for `measure_ms` after `warm_up_ms`.
    Time { warm_up_ms: u64, measure_ms: u64 },
    /// So many messages, as fast as it goes.
    Count { messages: u64 },
    /// So many each second.
    Rate { per_s: u64, warm_up_ms: u64, measure_ms: u64 },
    /// Nothing: `producers` connections log in and stay until standard input ends.
    Idle,
}

/// What one run saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Connections that are open and do nothing.
    pub connections: u64,
    /// Messages sent in the whole run.
    pub sent: u64,
    /// Messages received in the whole run.
    pub received: u64,
    /// Length of what was counted, in seconds.
    pub seconds: f64,
    /// Messages confirmed per second of what was counted.
    pub confirmed_per_s: f64,
    /// Messages received per second of what was counted.
    pub received_per_s: f64,
    /// From the intended time of sending to the receipt by the consumer, in microseconds.
    pub latency_us: Option<Latency>,
    /// CPU time of the load itself, in seconds.
    pub load_cpu_s: f64,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    pub count: u64,
}

/// Whether a client can log in.
pub fn answers(load: &Load) -> bool {
    link::Link::log_in(load).is_ok()
}

/// Does what standard input says.
pub fn load() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read what to do")?;
    let load: Load = serde_json::from_str(&line).context("cannot understand what to do")?;
    let mut seen = match load.pace {
        Pace::Time { .. } | Pace::Count { .. } => flood::flood(&load)?,
        Pace::Rate { per_s, warm_up_ms, measure_ms } => paced::paced(&load, per_s, warm_up_ms, measure_ms)?,
        Pace::Idle => return idle::idle(&load),
    };
    seen.load_cpu_s = super::process::cpu_s(std::process::id())?;
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}
