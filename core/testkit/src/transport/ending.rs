// SPDX-License-Identifier: Apache-2.0
//! Contracts of endings: half a link, a peer that goes, a link that is dropped in the middle of things.

use super::bell::{Bell, turn_reactor};
use super::end::{Check, End, Failure, ensure, pattern, same_bytes};
use super::run::{Contract, contract};
use super::subject::Subject;
use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Context, Poll};

pub(super) const CONTRACTS: &[Contract] = &[
    contract!(
        "transport.end.shutdown",
        Nothing,
        "What was written before the end arrives before the end.",
        shutdown
    ),
    contract!("transport.end.lasts", Nothing, "The end of a link stays its end.", lasts),
    contract!(
        "transport.end.half-client",
        HalfClose,
        "A client that ended its writing still reads.",
        half_client
    ),
    contract!(
        "transport.end.half-server",
        HalfClose,
        "A server that ended its writing still reads.",
        half_server
    ),
    contract!(
        "transport.end.write-after",
        Nothing,
        "Writing after the end of writing is an error.",
        write_after
    ),
    contract!(
        "transport.end.peer-reading",
        Nothing,
        "A reader whose peer vanishes is woken, and told.",
        peer_reading
    ),
    contract!(
        "transport.end.peer-writing",
        Nothing,
        "A writer whose peer vanishes is woken, and told.",
        peer_writing
    ),
    contract!(
        "transport.end.peer-unread",
        Nothing,
        "A peer that vanishes with bytes unread ends the link.",
        peer_unread
    ),
    contract!(
        "transport.end.cancel",
        Nothing,
        "A link can be dropped while both halves are pending.",
        cancel
    ),
];

async fn shutdown(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let bytes = pattern(3 << 20, 8);
    let write = async {
        connected.write(&bytes).await?;
        connected.shut().await
    };
    let ((), got) = tokio::try_join!(write, accepted.read_to_end())?;
    same_bytes("before the end", &got, &bytes)
}

async fn lasts(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    connected.shut().await?;
    for round in 1..=3 {
        let found = accepted.read_some(&mut [0; 8]).await?;
        ensure!(found.is_none(), "read {round} after the end gave {found:?} bytes");
    }
    Ok(())
}

async fn half(ending: &mut End, other: &mut End) -> Check {
    let bytes = pattern(200_000, 9);
    ending.write(b"last words").await?;
    ending.shut().await?;
    ensure!(other.read_to_end().await? == b"last words", "something else was read before the end");
    let answer = async {
        other.write(&bytes).await?;
        other.shut().await
    };
    let ((), got) = tokio::try_join!(answer, ending.read_to_end())?;
    same_bytes("after half the link had ended", &got, &bytes)
}

async fn half_client(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    half(&mut connected, &mut accepted).await
}

async fn half_server(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    half(&mut accepted, &mut connected).await
}

async fn write_after(subject: &Subject) -> Check {
    let (_listener, _accepted, mut connected) = subject.pair().await?;
    connected.shut().await?;
    match poll_fn(|cx| connected.poll_write(cx, &[IoSlice::new(b"x")])).await {
        Ok(_) => Err(Failure("a byte was taken after the end".to_owned())),
        Err(_) => Ok(()),
    }
}

/// A read that ends: by the end of the link, or an error with a text. Bytes are passed over.
async fn comes_to_an_end(end: &mut End) -> Check {
    let mut buf = vec![0; 65536];
    loop {
        let mut info = sabir_host::ChunkInfo::default();
        match poll_fn(|cx| end.link.poll_read(cx, &mut buf, &mut info)).await {
            Ok(0) if !info.end => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                ensure!(!error.message.is_empty(), "the error has no text");
                return Ok(());
            }
        }
    }
}

/// Writing that fails within what a medium can hold.
async fn cannot_write(subject: &Subject, end: &mut End) -> Check {
    let limit = subject.profile().max_buffered_bytes;
    let chunk = pattern(65536, 0);
    let mut sent = 0;
    while sent < limit {
        let wrote = poll_fn(|cx| {
            let taken = std::task::ready!(end.poll_write(cx, &[IoSlice::new(&chunk)]))?;
            let _ = end.link.poll_flush(cx)?;
            Poll::Ready(Ok::<_, Failure>(taken))
        })
        .await;
        match wrote {
            Ok(taken) => sent += taken,
            Err(failure) => {
                ensure!(!failure.0.is_empty(), "the error has no text");
                return Ok(());
            }
        }
    }
    Err(Failure(format!("{sent} bytes were taken for a peer that has gone")))
}

async fn peer_reading(subject: &Subject) -> Check {
    let (_listener, mut accepted, connected) = subject.pair().await?;
    let (bell, waker) = Bell::new();
    let pending = accepted.poll_read(&mut Context::from_waker(&waker), &mut [0; 8]).is_pending();
    ensure!(pending, "something was read before anything was written");
    drop(connected);
    bell.rung_since(0).await;
    comes_to_an_end(&mut accepted).await
}

async fn peer_writing(subject: &Subject) -> Check {
    let (_listener, mut accepted, connected) = subject.pair().await?;
    let limit = subject.profile().max_buffered_bytes;
    let filled = accepted.fill(limit).await?;
    ensure!(filled < limit, "{filled} bytes were taken though nobody read");
    let waiting = tokio::task::spawn_local(async move {
        let chunk = [0; 64];
        poll_fn(|cx| {
            let _ = accepted.link.poll_flush(cx)?;
            accepted.poll_write(cx, &[IoSlice::new(&chunk)])
        })
        .await
        .map(|_| ())
        .err();
        accepted
    });
    turn_reactor().await;
    drop(connected);
    let mut accepted = waiting.await.map_err(|error| Failure(format!("the writer: {error}")))?;
    cannot_write(subject, &mut accepted).await
}

async fn peer_unread(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let limit = subject.profile().max_buffered_bytes;
    ensure!(accepted.fill(limit).await? < limit, "the writer is never held back");
    connected.read(1).await?;
    drop(connected);
    comes_to_an_end(&mut accepted).await?;
    cannot_write(subject, &mut accepted).await
}

async fn cancel(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let limit = subject.profile().max_buffered_bytes;
    ensure!(connected.fill(limit).await? < limit, "the writer is never held back");
    let (reading, read_waker) = Bell::new();
    let (writing, write_waker) = Bell::new();
    let read = connected.poll_read(&mut Context::from_waker(&read_waker), &mut [0; 8]).is_pending();
    let write =
        connected.poll_write(&mut Context::from_waker(&write_waker), &[IoSlice::new(b"x")]).is_pending();
    ensure!(read && write, "expected both halves to be pending, found read {read} and write {write}");
    drop(connected);
    let rings = (reading.rings(), writing.rings());
    comes_to_an_end(&mut accepted).await?;
    turn_reactor().await;
    let after = (reading.rings(), writing.rings());
    ensure!(rings == after, "wakers of a dropped link were called: {rings:?} became {after:?}");
    drop((read_waker, write_waker));
    let kept = Arc::strong_count(&reading) + Arc::strong_count(&writing) - 2;
    ensure!(kept == 0, "{kept} wakers of a dropped link are still held");
    Ok(())
}
