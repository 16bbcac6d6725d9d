// SPDX-License-Identifier: Apache-2.0
//! Contracts of links that keep the boundaries of messages.

use super::end::{Check, End, Failure, ensure, next, pattern, same_bytes};
use super::run::{Contract, contract};
use super::subject::Subject;
use sabir_host::ChunkInfo;
use std::future::poll_fn;
use std::io::IoSlice;

pub(super) const CONTRACTS: &[Contract] = &[
    contract!(
        "transport.message.boundaries",
        Messages,
        "Messages arrive one by one, as they were sent.",
        boundaries
    ),
    contract!("transport.message.empty", Messages, "An empty message is a message.", empty),
    contract!("transport.message.pieces", Messages, "A message may be written in pieces.", pieces),
    contract!(
        "transport.message.long",
        Messages,
        "A message longer than any buffer arrives in pieces.",
        long
    ),
    contract!("transport.message.end", Messages, "The end of the link is told from an empty message.", end),
];

/// Writes one whole message.
async fn send(end: &mut End, message: &[u8]) -> Check {
    let (mut rest, mut begin) = (message, true);
    loop {
        let info = ChunkInfo { begin, end: true, ..ChunkInfo::default() };
        let taken = poll_fn(|cx| end.link.poll_write(cx, &[IoSlice::new(rest)], info)).await?;
        rest = rest.get(taken..).ok_or_else(|| Failure(format!("{taken} of {} bytes taken", rest.len())))?;
        begin = false;
        if rest.is_empty() {
            return end.flush().await;
        }
    }
}

/// Reads one whole message with a buffer of `room` bytes, and checks its flags; nothing at the end of the link.
async fn receive(end: &mut End, room: usize) -> Check<Option<Vec<u8>>> {
    let mut buf = vec![0; room];
    let mut message = Vec::new();
    let mut first = true;
    loop {
        let mut info = ChunkInfo::default();
        let count = poll_fn(|cx| end.link.poll_read(cx, &mut buf, &mut info)).await?;
        if count == 0 && !info.end {
            ensure!(first, "the link ended within a message");
            return Ok(None);
        }
        ensure!(
            info.begin == first,
            "BEGIN is {} on piece {}",
            info.begin,
            if first { "one" } else { "two or later" }
        );
        first = false;
        message.extend_from_slice(&buf[..count]);
        if info.end {
            return Ok(Some(message));
        }
    }
}

async fn boundaries(subject: &Subject) -> Check {
    const MESSAGES: usize = 500;
    let mut state = 11;
    let messages: Vec<Vec<u8>> =
        (0..MESSAGES).map(|at| pattern((next(&mut state) % 5_000) as usize, at as u64)).collect();
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let write = async {
        for message in &messages {
            send(&mut connected, message).await?;
        }
        Ok(())
    };
    let read = async {
        for (at, message) in messages.iter().enumerate() {
            let room = 1 + at * 13 % 6_000;
            let found = receive(&mut accepted, room).await?;
            same_bytes(&format!("message {at}"), &found.unwrap_or_default(), message)?;
        }
        Ok(())
    };
    tokio::try_join!(write, read).map(drop)
}

async fn empty(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let messages = [&b""[..], b"", b"x", b""];
    let write = async {
        for message in messages {
            send(&mut connected, message).await?;
        }
        Ok(())
    };
    let read = async {
        for message in messages {
            let found = receive(&mut accepted, 64).await?;
            ensure!(found.as_deref() == Some(message), "expected {message:?}, found {found:?}");
        }
        Ok(())
    };
    tokio::try_join!(write, read).map(drop)
}

async fn pieces(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let steps = [(&b"ab"[..], true, false), (b"cd", false, false), (b"ef", false, true)];
    for (bytes, begin, end) in steps {
        let mut rest = bytes;
        let mut begin = begin;
        while !rest.is_empty() {
            let info = ChunkInfo { begin, end, ..ChunkInfo::default() };
            let taken = poll_fn(|cx| connected.link.poll_write(cx, &[IoSlice::new(rest)], info)).await?;
            rest = &rest[taken..];
            begin = false;
        }
        connected.flush().await?;
    }
    send(&mut connected, b"next").await?;
    for message in [&b"abcdef"[..], b"next"] {
        let found = receive(&mut accepted, 64).await?;
        ensure!(found.as_deref() == Some(message), "expected {message:?}, found {found:?}");
    }
    Ok(())
}

async fn long(subject: &Subject) -> Check {
    let message = pattern(3 << 20, 12);
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let ((), found) = tokio::try_join!(send(&mut connected, &message), receive(&mut accepted, 1_000))?;
    same_bytes("a long message", &found.unwrap_or_default(), &message)
}

async fn end(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    send(&mut connected, b"").await?;
    connected.shut().await?;
    let found = receive(&mut accepted, 8).await?;
    ensure!(found.as_deref() == Some(b""), "expected an empty message, found {found:?}");
    let found = receive(&mut accepted, 8).await?;
    ensure!(found.is_none(), "expected the end of the link, found {found:?}");
    Ok(())
}
