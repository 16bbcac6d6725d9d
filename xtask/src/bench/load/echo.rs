// SPDX-License-Identifier: Apache-2.0
//! Round trips with an echo server over a few connections.

use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 16;
const MESSAGE_BYTES: usize = 64;

/// Sends a message on each connection, reads each back, and so on; answers how many came back.
pub fn round_trips(address: SocketAddr, time: Duration) -> Result<u64> {
    let mut links = (0..CONNECTIONS)
        .map(|_| {
            let link = TcpStream::connect(address)?;
            link.set_nodelay(true)?;
            Ok(link)
        })
        .collect::<std::io::Result<Vec<_>>>()
        .context("cannot connect to the echo server")?;
    let mut message = [0; MESSAGE_BYTES];
    let mut count = 0;
    let start = Instant::now();
    while start.elapsed() < time {
        for link in &mut links {
            link.write_all(&message)?;
        }
        for link in &mut links {
            link.read_exact(&mut message)?;
            count += 1;
        }
    }
    Ok(count)
}
