// SPDX-License-Identifier: Apache-2.0
//! The process of the Java client: one line in for each run, one line out.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

/// The running virtual machine.
pub struct JavaLoad {
    child: Child,
    /// Only one run at a time.
    pipes: Mutex<Pipes>,
    /// The version of the client.
    pub client: String,
}

struct Pipes {
    orders: ChildStdin,
    seen: BufReader<ChildStdout>,
}

/// What one run shall do.
#[derive(Clone, Debug)]
pub struct Order {
    pub address: SocketAddr,
    pub queue: String,
    pub producers: usize,
    pub consumers: usize,
    pub size_bytes: usize,
    pub persistent: bool,
    /// Sends return before they are confirmed.
    pub asynchronous: bool,
    /// What a producer may have unconfirmed then; 0: no bound.
    pub window_bytes: usize,
    /// How many are sent, or without producers received; 0: the run is measured by time.
    pub messages: u64,
    /// Of all producers together; 0: as fast as it goes.
    pub per_s: u64,
    pub warm_up_ms: u64,
    pub measure_ms: u64,
}

impl fmt::Display for Order {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Order { address, queue, producers, consumers, size_bytes, persistent, .. } = self;
        write!(out, "uri=tcp://{address} queue={queue} producers={producers} consumers={consumers} ")?;
        write!(out, "size_bytes={size_bytes} persistent={persistent} async={} ", self.asynchronous)?;
        write!(out, "window_bytes={} messages={} per_s={} ", self.window_bytes, self.messages, self.per_s)?;
        write!(out, "warm_up_ms={} measure_ms={}", self.warm_up_ms, self.measure_ms)
    }
}

/// What one run saw.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Seen {
    /// Messages of the whole run.
    pub sent: u64,
    pub sent_per_s: f64,
    pub received_per_s: f64,
    /// Of the whole run.
    pub cpu_s: f64,
    /// The part of all processors that the load had.
    pub process_share: f64,
    /// The part of one processor that its busiest thread had.
    pub thread_share: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    /// From the first connection to the first message, where messages are only received.
    pub first_ms: f64,
}

/// The first line.
#[derive(Deserialize)]
struct Greeting {
    client: String,
}

impl JavaLoad {
    pub(super) fn start(mut command: Command) -> Result<JavaLoad> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start java")?;
        let orders = child.stdin.take().context("standard input is not piped")?;
        let seen = BufReader::new(child.stdout.take().context("standard output is not piped")?);
        let mut load = JavaLoad { child, pipes: Mutex::new(Pipes { orders, seen }), client: String::new() };
        let greeting: Greeting = load.pipes.get_mut().ok().context("nobody else has it")?.line()?;
        load.client = greeting.client;
        Ok(load)
    }

    /// Does one run to its end.
    pub fn run(&self, order: &Order) -> Result<Seen> {
        let mut pipes = self.pipes.lock().ok().context("an earlier run of the Java load has failed")?;
        writeln!(pipes.orders, "{order}").context("cannot tell the Java load what to do")?;
        pipes.line().with_context(|| format!("{order}"))
    }
}

impl Pipes {
    fn line<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.seen.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the Java load has failed");
        serde_json::from_str(&line).context("cannot understand what the Java load saw")
    }
}

impl Drop for JavaLoad {
    fn drop(&mut self) {
        // Does nothing to a child that has ended; there is nothing that it could lose.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_line_of_words() {
        let order = Order {
            address: ([127, 0, 0, 1], 61616).into(),
            queue: "a".to_owned(),
            producers: 1,
            consumers: 2,
            size_bytes: 1024,
            persistent: true,
            asynchronous: false,
            window_bytes: 0,
            messages: 0,
            per_s: 0,
            warm_up_ms: 5,
            measure_ms: 7,
        };
        assert_eq!(
            order.to_string(),
            "uri=tcp://127.0.0.1:61616 queue=a producers=1 consumers=2 size_bytes=1024 persistent=true async=false \
             window_bytes=0 messages=0 per_s=0 warm_up_ms=5 measure_ms=7"
        );
    }

    #[test]
    fn a_load_that_ends_is_a_failure_and_one_that_answers_is_read() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo '{\"client\":\"1.2\"}'; read -r order"]);
        let load = JavaLoad::start(shell).expect("it greets");
        assert_eq!(load.client, "1.2");
        assert!(JavaLoad::start(Command::new("true")).is_err());
    }
}
