// SPDX-License-Identifier: Apache-2.0
//! Contracts of listeners: links come, many of them, and live by themselves.

use super::bell::{Bell, turn_reactor};
use super::end::{Check, End, Failure, ensure, pattern, same_bytes};
use super::run::{Contract, contract};
use super::subject::{Subject, accept};
use std::task::{Context, Poll};

pub(super) const CONTRACTS: &[Contract] = &[
    contract!("transport.accept.link", Nothing, "An accepted link carries bytes both ways.", both_ways),
    contract!("transport.accept.wakes", Nothing, "A pending accept is woken when a link comes.", wakes),
    contract!(
        "transport.accept.waits",
        Nothing,
        "Links that came before accept was called are accepted.",
        waits
    ),
    contract!(
        "transport.accept.many",
        Nothing,
        "Hundreds of links at once each carry their own bytes.",
        many
    ),
    contract!("transport.accept.outlive", Nothing, "Links live on when their listener is dropped.", outlive),
    contract!(
        "transport.accept.cancel",
        Nothing,
        "A listener can be dropped while accept is pending.",
        cancel
    ),
    contract!(
        "transport.accept.vanish",
        Nothing,
        "A link that went before it was accepted harms no other.",
        vanish
    ),
];

async fn both_ways(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    connected.write(b"ping").await?;
    ensure!(accepted.read(4).await? == b"ping", "something else arrived at the accepted link");
    accepted.write(b"pong").await?;
    ensure!(connected.read(4).await? == b"pong", "something else arrived at the connected link");
    Ok(())
}

async fn wakes(subject: &Subject) -> Check {
    let mut listener = subject.listen()?;
    let (bell, waker) = Bell::new();
    let pending = listener.poll_accept(&mut Context::from_waker(&waker)).is_pending();
    ensure!(pending, "a link was accepted before anybody connected");
    let uri = subject.uri_of(listener.local_address());
    let connecting = tokio::task::spawn_local({
        let link = subject.connect_to(&uri)?;
        super::end::ready(link)
    });
    bell.rung_since(0).await;
    let mut accepted = accept(&mut listener).await?;
    let mut connected = connecting.await.map_err(|error| Failure(format!("connecting: {error}")))??;
    connected.write(b"x").await?;
    ensure!(accepted.read(1).await? == b"x", "something else arrived");
    Ok(())
}

async fn waits(subject: &Subject) -> Check {
    let mut listener = subject.listen()?;
    let uri = subject.uri_of(listener.local_address());
    let mut connecting = Vec::new();
    for number in 0..subject.profile().waiting_links {
        let link = subject.connect_to(&uri)?;
        let number = u8::try_from(number % 251).unwrap_or_default();
        connecting.push(tokio::task::spawn_local(async move {
            let mut end = super::end::ready(link).await?;
            end.write(&[number]).await?;
            let answer = end.read(1).await?;
            ensure!(answer == [number], "link {number} got the answer of link {answer:?}");
            Ok(())
        }));
    }
    turn_reactor().await;
    for _ in 0..connecting.len() {
        let mut end = accept(&mut listener).await?;
        let number = end.read(1).await?;
        end.write(&number).await?;
        // Gone at once: what was written before must arrive all the same.
        end.shut().await?;
    }
    for task in connecting {
        task.await.map_err(|error| Failure(format!("a client: {error}")))??;
    }
    Ok(())
}

async fn many(subject: &Subject) -> Check {
    const BYTES: usize = 20_000;
    let mut listener = subject.listen()?;
    let count = subject.profile().many_links;
    let uri = subject.uri_of(listener.local_address());
    let server = tokio::task::spawn_local(async move {
        let mut echoes = Vec::new();
        for _ in 0..count {
            let mut end = accept(&mut listener).await?;
            echoes.push(tokio::task::spawn_local(async move { end.echo().await }));
        }
        Ok::<_, Failure>((listener, echoes))
    });
    let mut clients = Vec::new();
    for number in 0..count {
        let link = subject.connect_to(&uri)?;
        clients.push(tokio::task::spawn_local(super::end::ready(link)));
        // No more at once than may wait to be accepted.
        if number % subject.profile().waiting_links == 0 {
            turn_reactor().await;
        }
    }
    let mut ends: Vec<End> = Vec::new();
    for client in clients {
        ends.push(client.await.map_err(|error| Failure(format!("a client: {error}")))??);
    }
    // All of them are open now, and all talk.
    let talks: Vec<_> = ends
        .into_iter()
        .enumerate()
        .map(|(number, mut end)| {
            tokio::task::spawn_local(async move {
                let bytes = pattern(BYTES, number as u64);
                let echo = end.converse(&bytes, bytes.len()).await?;
                same_bytes(&format!("link {number}"), &echo, &bytes)
            })
        })
        .collect();
    for talk in talks {
        talk.await.map_err(|error| Failure(format!("a client: {error}")))??;
    }
    let (_listener, echoes) = server.await.map_err(|error| Failure(format!("the server: {error}")))??;
    ensure!(echoes.len() == count, "{} of {count} links were accepted", echoes.len());
    Ok(())
}

async fn outlive(subject: &Subject) -> Check {
    let (listener, mut accepted, mut connected) = subject.pair().await?;
    drop(listener);
    let bytes = pattern(100_000, 1);
    let (echoed, got) = tokio::join!(accepted.converse(&bytes, 4), connected.converse(b"ping", bytes.len()));
    ensure!(echoed? == b"ping", "something else arrived");
    same_bytes("after the listener had gone", &got?, &bytes)
}

async fn cancel(subject: &Subject) -> Check {
    let mut listener = subject.listen()?;
    let (bell, waker) = Bell::new();
    ensure!(listener.poll_accept(&mut Context::from_waker(&waker)).is_pending(), "a link came from nowhere");
    drop(listener);
    let rings = bell.rings();
    turn_reactor().await;
    ensure!(bell.rings() == rings, "the waker of a dropped listener was called");
    // The waker is this case's alone again: nothing keeps what it would wake.
    drop(waker);
    let kept = std::sync::Arc::strong_count(&bell) - 1;
    ensure!(kept == 0, "{kept} wakers of a dropped listener are still held");
    Ok(())
}

async fn vanish(subject: &Subject) -> Check {
    let mut listener = subject.listen()?;
    let uri = subject.uri_of(listener.local_address());
    let gone = subject.connect_to(&uri)?;
    turn_reactor().await;
    drop(gone);
    turn_reactor().await;
    let mut connecting = tokio::task::spawn_local(super::end::ready(subject.connect_to(&uri)?));
    // The first may come, and end at once, or not come at all; the second must.
    let mut accepted = Vec::new();
    let mut connected: Option<End> = None;
    std::future::poll_fn(|cx| {
        while let Poll::Ready(link) = listener.poll_accept(cx) {
            match link {
                Ok(link) => accepted.push(link),
                Err(error) => return Poll::Ready(Err(Failure(format!("accept: {error}")))),
            }
        }
        if connected.is_none()
            && let Poll::Ready(done) = std::pin::Pin::new(&mut connecting).poll(cx)
        {
            connected = Some(done.map_err(|error| Failure(error.to_string()))??);
        }
        for link in &mut accepted {
            // Handshakes go on where there are any; those of the vanished link may fail.
            let _ = link.poll_ready(cx);
        }
        if connected.is_some() && !accepted.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await?;
    Ok(())
}
