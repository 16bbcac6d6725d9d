// SPDX-License-Identifier: Apache-2.0
//! What the plugin interface costs: CPU per round trip of an echo server through it, against one on tokio directly.

use super::broker::announced;
use super::load::echo;
use super::process::cpu_s;
use anyhow::{Context, Result};
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Pairs that are measured, one form right after the other.
const PAIRS: usize = 5;

/// An echo server; ends with its standard input.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(program: &Path, form: &Path) -> Result<Server> {
        let mut command = Command::new(program);
        command.arg(form).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let output = child.stdout.take().context("standard output is not piped")?;
        let address = announced(BufReader::new(output))?;
        Ok(Server { child, address })
    }

    /// CPU time in seconds per round trip.
    fn cost_s(&self, time: Duration) -> Result<f64> {
        let before = cpu_s(self.child.id())?;
        let count = echo::round_trips(self.address, time)?;
        Ok((cpu_s(self.child.id())? - before) / count as f64)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It ends with its input; what is left of it is nobody's concern.
        let _status = self.child.wait();
    }
}

/// The cost through the plugin `library` divided by the direct cost, for each pair.
pub fn ratios(program: &Path, library: &Path, time: Duration) -> Result<Vec<f64>> {
    let direct = Server::start(program, Path::new("direct"))?;
    let through = Server::start(program, library)?;
    (0..PAIRS).map(|_| Ok(through.cost_s(time)? / direct.cost_s(time)?)).collect()
}
