// SPDX-License-Identifier: Apache-2.0
//! A connection of the load: its socket, what waits to be written, what was read and not yet cut, its log-in.

use super::Load;
use super::frames::{Frame, Kind, cut};
use anyhow::{Context, Result, bail, ensure};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than any broker takes that works.
pub const PATIENCE: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 256 * 1024;

/// A connection that has logged in.
pub struct Link {
    pub socket: TcpStream,
    /// What waits to be written, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// What was read, from `cut` to `filled`.
    input: Vec<u8>,
    cut: usize,
    filled: usize,
}

impl Link {
    /// Connects, logs in, and goes on without blocking.
    pub fn open(load: &Load) -> Result<Link> {
        let mut link = Link::log_in(load)?;
        link.input.resize(READ_BYTES + 2 * load.size_bytes, 0);
        link.socket.set_nonblocking(true)?;
        Ok(link)
    }

    /// Connects and logs in with the smallest buffers.
    pub fn log_in(load: &Load) -> Result<Link> {
        let socket = TcpStream::connect(load.address)
            .with_context(|| format!("cannot connect to {}", load.address))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut link = Link { socket, out: Vec::new(), written: 0, input: vec![0; 1024], cut: 0, filled: 0 };
        let mut connect = format!("CONNECT\naccept-version:1.2\nheart-beat:0,0\nhost:{}\n", load.host);
        if let Some((user, password)) = &load.login {
            connect.push_str(&format!("login:{user}\npasscode:{password}\n"));
        }
        connect.push_str("\n\0");
        link.ask(connect.as_bytes(), Kind::Connected)?;
        Ok(link)
    }

    /// Whether the broker still holds the other end; nothing must be on its way from there.
    pub fn is_open(&self) -> Result<bool> {
        self.socket.set_nonblocking(true)?;
        match self.socket.peek(&mut [0]) {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a frame and waits for its answer, while the socket still blocks.
    fn ask(&mut self, frame: &[u8], wanted: Kind) -> Result<()> {
        self.socket.write_all(frame)?;
        loop {
            if let Some(frame) = self.next_frame()? {
                ensure!(frame.kind == wanted, "{:?} where {wanted:?} was expected", frame.kind);
                return Ok(());
            }
            let count = self.socket.read(&mut self.input[self.filled..])?;
            ensure!(count > 0, "the broker has closed the connection");
            self.filled += count;
        }
    }

    /// Reads what is there, until the buffer is full or the socket empty. Answers whether anything came.
    pub fn read(&mut self) -> Result<bool> {
        if self.cut > 0 {
            self.input.copy_within(self.cut..self.filled, 0);
            self.filled -= self.cut;
            self.cut = 0;
        }
        match self.socket.read(&mut self.input[self.filled..]) {
            Ok(0) => bail!("the broker has closed the connection"),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// The next frame that is all there.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        let Some(frame) = cut(&self.input[..self.filled], self.cut)? else { return Ok(None) };
        if frame.kind == Kind::Error {
            bail!("the broker says: {}", String::from_utf8_lossy(&self.input[self.cut..frame.end]));
        }
        self.cut = frame.end;
        Ok(Some(frame))
    }

    /// The bytes of a part of the last frame.
    pub fn part(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.input[range]
    }

    /// Adds bytes to what waits to be written.
    pub fn push(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Acknowledges by a part of the last frame.
    pub fn push_ack(&mut self, ack: std::ops::Range<usize>) {
        self.out.extend_from_slice(b"ACK\nid:");
        self.out.extend_from_slice(&self.input[ack]);
        self.out.extend_from_slice(b"\n\n\0");
    }

    /// Whether something waits to be written.
    pub fn has_output(&self) -> bool {
        self.written < self.out.len()
    }

    /// Writes what goes.
    pub fn write(&mut self) -> Result<()> {
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}
