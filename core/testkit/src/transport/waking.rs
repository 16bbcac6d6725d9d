// SPDX-License-Identifier: Apache-2.0
//! Contracts of wakers: the last one is called, in time, and not for nothing.

use super::bell::{Bell, turn_reactor};
use super::end::{Check, ensure};
use super::run::{Contract, contract};
use super::subject::{Subject, accept};
use std::io::IoSlice;
use std::task::{Context, Poll};

pub(super) const CONTRACTS: &[Contract] = &[
    contract!(
        "transport.wake.read",
        Nothing,
        "Of several wakers of a pending read, the last is called.",
        read
    ),
    contract!(
        "transport.wake.write",
        Nothing,
        "Of several wakers of a pending write, the last is called.",
        write
    ),
    contract!(
        "transport.wake.accept",
        Nothing,
        "Of several wakers of a pending accept, the last is called.",
        accepts
    ),
    contract!("transport.wake.halves", Nothing, "Reading and writing have wakers of their own.", halves),
    contract!("transport.wake.spurious", Nothing, "Polling for nothing, often, harms nothing.", spurious),
    contract!("transport.wake.idle", Nothing, "What is pending does not wake itself.", idle),
];

async fn read(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let (_first, first_waker) = Bell::new();
    let (last, last_waker) = Bell::new();
    for waker in [&first_waker, &last_waker] {
        let pending = accepted.poll_read(&mut Context::from_waker(waker), &mut [0; 8]).is_pending();
        ensure!(pending, "something was read before anything was written");
    }
    connected.write(b"x").await?;
    last.rung_since(0).await;
    ensure!(accepted.read(1).await? == b"x", "something else arrived");
    Ok(())
}

async fn write(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let filled = connected.fill(subject.profile().max_buffered_bytes).await?;
    let (_first, first_waker) = Bell::new();
    let (last, last_waker) = Bell::new();
    for waker in [&first_waker, &last_waker] {
        let pending =
            connected.poll_write(&mut Context::from_waker(waker), &[IoSlice::new(b"x")]).is_pending();
        ensure!(pending, "the writer is never held back");
    }
    let seen = last.rings();
    // More than enough for any medium to say that there is room: most of what is buffered.
    accepted.read(filled - filled / 8).await?;
    last.rung_since(seen).await;
    Ok(())
}

async fn accepts(subject: &Subject) -> Check {
    let mut listener = subject.listen()?;
    let (_first, first_waker) = Bell::new();
    let (last, last_waker) = Bell::new();
    for waker in [&first_waker, &last_waker] {
        let pending = listener.poll_accept(&mut Context::from_waker(waker)).is_pending();
        ensure!(pending, "a link came from nowhere");
    }
    let link = subject.connect_to(&subject.uri_of(listener.local_address()))?;
    let connecting = tokio::task::spawn_local(super::end::ready(link));
    last.rung_since(0).await;
    accept(&mut listener).await?;
    drop(connecting);
    Ok(())
}

async fn halves(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let filled = connected.fill(subject.profile().max_buffered_bytes).await?;
    let (reading, read_waker) = Bell::new();
    let (writing, write_waker) = Bell::new();
    let read = connected.poll_read(&mut Context::from_waker(&read_waker), &mut [0; 8]).is_pending();
    let write =
        connected.poll_write(&mut Context::from_waker(&write_waker), &[IoSlice::new(b"x")]).is_pending();
    ensure!(read && write, "expected both halves to be pending, found read {read} and write {write}");
    let seen = (reading.rings(), writing.rings());
    accepted.write(b"y").await?;
    reading.rung_since(seen.0).await;
    accepted.read(filled - filled / 8).await?;
    writing.rung_since(seen.1).await;
    ensure!(connected.read(1).await? == b"y", "something else arrived");
    Ok(())
}

async fn spurious(subject: &Subject) -> Check {
    const POLLS: usize = 1_000;
    let (mut listener, mut accepted, mut connected) = subject.pair().await?;
    let (_bell, waker) = Bell::new();
    let mut cx = Context::from_waker(&waker);
    for _ in 0..POLLS {
        ensure!(
            accepted.poll_read(&mut cx, &mut [0; 8]).is_pending(),
            "something was read before it was written"
        );
        ensure!(listener.poll_accept(&mut cx).is_pending(), "a link came from nowhere");
        let Poll::Ready(flushed) = connected.link.poll_flush(&mut cx) else { continue };
        flushed?;
    }
    connected.write(b"x").await?;
    ensure!(accepted.read(1).await? == b"x", "something else arrived");
    subject.link(&mut listener).await.map(drop)
}

async fn idle(subject: &Subject) -> Check {
    // A readiness event that came late is no fault; a loop is.
    const ALLOWED: usize = 2;
    let (mut listener, mut accepted, mut connected) = subject.pair().await?;
    let limit = subject.profile().max_buffered_bytes;
    ensure!(connected.fill(limit).await? < limit, "the writer is never held back");
    let (reading, read_waker) = Bell::new();
    let (writing, write_waker) = Bell::new();
    let (accepting, accept_waker) = Bell::new();
    let mut in_vain = 0;
    loop {
        let seen = [reading.rings(), writing.rings(), accepting.rings()];
        let read = connected.poll_read(&mut Context::from_waker(&read_waker), &mut [0; 8]).is_pending();
        let none = listener.poll_accept(&mut Context::from_waker(&accept_waker)).is_pending();
        ensure!(read && none, "expected read and accept to be pending, found {read} and {none}");
        let write = connected.poll_write(&mut Context::from_waker(&write_waker), &[IoSlice::new(b"x")]);
        // As an executor would: poll again whatever was woken, until nothing is.
        turn_reactor().await;
        let rings = [reading.rings(), writing.rings(), accepting.rings()];
        if write.is_pending() && rings == seen {
            break;
        }
        // A medium that moved its buffers on may have found room for more: that is no vain wake-up.
        in_vain += usize::from(write.is_pending());
        ensure!(in_vain <= ALLOWED, "what is pending was woken {rings:?} times though nothing happened");
    }
    accepted.read(1).await.map(drop)
}
