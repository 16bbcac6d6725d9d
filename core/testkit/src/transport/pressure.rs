// SPDX-License-Identifier: Apache-2.0
//! Contracts of back-pressure: who does not read holds back who writes, and nobody else.

use super::end::{Check, End, Failure, ensure, pattern, same_bytes};
use super::run::{Contract, contract};
use super::subject::Subject;

pub(super) const CONTRACTS: &[Contract] = &[
    contract!(
        "transport.pressure.holds",
        Nothing,
        "A writer waits when nobody reads, and goes on later.",
        holds
    ),
    contract!("transport.pressure.duplex", Nothing, "A link whose writing waits still reads.", duplex),
    contract!("transport.pressure.alone", Nothing, "A link that waits holds no other back.", alone),
];

/// Fills a link up to where its writer has to wait: how many bytes that are.
async fn fill(subject: &Subject, end: &mut End) -> Check<usize> {
    let limit = subject.profile().max_buffered_bytes;
    let filled = end.fill(limit).await?;
    ensure!(filled < limit, "{filled} bytes were taken though nobody read");
    Ok(filled)
}

/// Reads what [`fill`] has written, and checks it.
async fn drain(end: &mut End, filled: usize) -> Check {
    let chunk = pattern(65536, 0);
    let mut seen = 0;
    while seen < filled {
        let got = end.read(chunk.len().min(filled - seen)).await?;
        same_bytes(&format!("at byte {seen}"), &got, &chunk[..got.len()])?;
        seen += got.len();
    }
    Ok(())
}

async fn holds(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    for _ in 0..3 {
        let filled = fill(subject, &mut connected).await?;
        // Whoever fills up to the brim leaves the rest of its last piece unwritten.
        let rest = (65536 - filled % 65536) % 65536;
        let tail = pattern(65536, 0).split_off(65536 - rest);
        tokio::try_join!(connected.write(&tail), drain(&mut accepted, filled + rest))?;
    }
    Ok(())
}

async fn duplex(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    fill(subject, &mut connected).await?;
    let bytes = pattern(300_000, 2);
    let ((), got) = tokio::try_join!(accepted.write(&bytes), connected.read(bytes.len()))?;
    same_bytes("against the stream", &got, &bytes)
}

async fn alone(subject: &Subject) -> Check {
    let (mut listener, _accepted, mut full) = subject.pair().await?;
    fill(subject, &mut full).await?;
    let (mut accepted, mut connected) = subject.link(&mut listener).await?;
    let bytes = pattern(1 << 20, 3);
    let echo = tokio::task::spawn_local(async move { accepted.echo().await });
    let got = connected.converse(&bytes, bytes.len()).await?;
    same_bytes("beside a link that waits", &got, &bytes)?;
    connected.shut().await?;
    echo.await.map_err(|error| Failure(format!("the echo: {error}")))?
}
