// SPDX-License-Identifier: Apache-2.0
//! A raw STOMP 1.2 client for tests: blocking, simple, and written apart from the broker's codec.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longer than any answer takes, on a busy machine too.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub command: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Frame {
    /// A frame without a body.
    pub fn new(command: &str, headers: &[(&str, &str)]) -> Frame {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Frame { command: command.to_owned(), headers, body: Vec::new() }
    }

    /// The same with a body.
    pub fn with_body(mut self, body: &[u8]) -> Frame {
        self.body = body.to_vec();
        self
    }

    /// The same with one more header.
    pub fn with(mut self, name: &str, value: &str) -> Frame {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// As it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("{}\n", self.command).into_bytes();
        for (name, value) in &self.headers {
            let connects = matches!(self.command.as_str(), "CONNECT" | "STOMP");
            let escape = |text: &str| if connects { text.to_owned() } else { escape(text) };
            bytes.extend_from_slice(format!("{}:{}\n", escape(name), escape(value)).as_bytes());
        }
        if !self.body.is_empty() {
            bytes.extend_from_slice(format!("content-length:{}\n", self.body.len()).as_bytes());
        }
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.body);
        bytes.push(0);
        bytes
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace(':', "\\c")
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => plain.push(match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('c') => ':',
                Some('\\') => '\\',
                other => panic!("the broker sent the escape \\{other:?}"),
            }),
            (character, false) => plain.push(character),
        }
    }
    plain
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    receipts: u64,
}

impl Client {
    /// Connects without logging in.
    pub fn raw(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream, buffer: Vec::new(), receipts: 0 })
    }

    /// Connects and logs in.
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        Client::connect_with(address, &[])
    }

    /// Connects and logs in with further headers.
    pub fn connect_with(address: SocketAddr, headers: &[(&str, &str)]) -> io::Result<Client> {
        let mut client = Client::raw(address)?;
        let mut frame = Frame::new("CONNECT", &[("accept-version", "1.2"), ("host", "localhost")]);
        for (name, value) in headers {
            frame = frame.with(name, value);
        }
        client.send(&frame)?;
        let answer = client.receive()?;
        if answer.command != "CONNECTED" {
            return Err(io::Error::other(format!("refused: {answer:?}")));
        }
        Ok(client)
    }

    /// Writes a frame.
    pub fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.write(&frame.encode())
    }

    /// Writes any bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Writes a frame with a receipt, and waits for it; other frames that come before are an error.
    pub fn confirm(&mut self, frame: Frame) -> io::Result<()> {
        self.receipts += 1;
        let receipt = format!("confirm-{}", self.receipts);
        self.send(&frame.with("receipt", &receipt))?;
        let answer = self.receive()?;
        match answer.header("receipt-id") {
            Some(id) if id == receipt && answer.command == "RECEIPT" => Ok(()),
            _ => Err(io::Error::other(format!("no receipt but {answer:?}"))),
        }
    }

    /// Sends a persistent message and waits for its receipt.
    pub fn publish(&mut self, destination: &str, body: &[u8]) -> io::Result<()> {
        self.confirm(message(destination, body))
    }

    /// Subscribes.
    pub fn subscribe(&mut self, id: &str, destination: &str, ack: &str, prefetch: usize) -> io::Result<()> {
        let prefetch = prefetch.to_string();
        let headers = [
            ("id", id),
            ("destination", destination),
            ("ack", ack),
            ("activemq.prefetchSize", prefetch.as_str()),
        ];
        self.confirm(Frame::new("SUBSCRIBE", &headers))
    }

    /// Acknowledges a message and waits for the receipt.
    pub fn acknowledge(&mut self, message: &Frame) -> io::Result<()> {
        let id = message
            .header("ack")
            .ok_or_else(|| io::Error::other("the message has no ack header"))?
            .to_owned();
        self.confirm(Frame::new("ACK", &[("id", &id)]))
    }

    /// The next frame, within the usual patience.
    pub fn receive(&mut self) -> io::Result<Frame> {
        self.receive_within(PATIENCE)?.ok_or_else(|| ErrorKind::TimedOut.into())
    }

    /// The next frame; `None` when none comes in time.
    pub fn receive_within(&mut self, patience: Duration) -> io::Result<Option<Frame>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(frame) = self.cut() {
                return Ok(Some(frame));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the next frame out of what has been read.
    fn cut(&mut self) -> Option<Frame> {
        let start = self.buffer.iter().position(|byte| !matches!(byte, b'\n' | b'\r'))?;
        let head_len = self.buffer[start..].windows(2).position(|two| two == b"\n\n")?;
        let head =
            String::from_utf8(self.buffer[start..start + head_len].to_vec()).expect("the broker sends UTF-8");
        let mut lines = head.lines();
        let command = lines.next().expect("a frame starts with its command").to_owned();
        let headers: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) =
                    line.split_once(':').unwrap_or_else(|| panic!("a header without colon: {line}"));
                match command.as_str() {
                    "CONNECTED" => (name.to_owned(), value.to_owned()),
                    _ => (unescape(name), unescape(value)),
                }
            })
            .collect();
        let body = start + head_len + 2;
        let frame = Frame { command, headers, body: Vec::new() };
        let body_len = match frame.header("content-length") {
            Some(length) => length.parse().expect("content-length is a number"),
            None => self.buffer[body..].iter().position(|byte| *byte == 0)?,
        };
        let end = *self.buffer.get(body + body_len)?;
        assert_eq!(end, 0, "a frame ends with NUL");
        let bytes = self.buffer[body..body + body_len].to_vec();
        self.buffer.drain(..=body + body_len);
        Some(Frame { body: bytes, ..frame })
    }

    /// The socket, for tests that treat it badly.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// A persistent message as a frame.
pub fn message(destination: &str, body: &[u8]) -> Frame {
    Frame::new("SEND", &[("destination", destination), ("persistent", "true")]).with_body(body)
}
