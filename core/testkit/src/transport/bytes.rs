// SPDX-License-Identifier: Apache-2.0
//! Contracts of bytes: all arrive, in order, however they are cut.

use super::end::{Check, End, Failure, ensure, next, pattern, same_bytes};
use super::run::{Contract, contract};
use super::subject::Subject;
use sabir_host::{ChunkInfo, Framing};
use std::future::poll_fn;
use std::io::IoSlice;

pub(super) const CONTRACTS: &[Contract] = &[
    contract!("transport.bytes.echo", Nothing, "Everything from 1 byte to 10 MB comes back unchanged.", echo),
    contract!(
        "transport.bytes.order",
        Nothing,
        "Bytes arrive in order, however writes and reads cut them.",
        order
    ),
    contract!("transport.bytes.duplex", Nothing, "Both directions carry megabytes at the same time.", duplex),
    contract!("transport.bytes.small-reads", Nothing, "A reader may take one byte at a time.", small_reads),
    contract!(
        "transport.bytes.vectored",
        Nothing,
        "Thousands of small slices go in one write, empty ones too.",
        vectored
    ),
    contract!("transport.bytes.nothing", Stream, "Writing nothing does nothing.", nothing),
    contract!(
        "transport.bytes.flush",
        Nothing,
        "Flush has an answer before, between and after writes.",
        flush
    ),
];

/// Runs an echo at the accepted end while `client` talks to it.
async fn with_echo<F: Future<Output = Check<End>>>(
    subject: &Subject,
    client: impl FnOnce(End) -> F,
) -> Check {
    let (_listener, mut accepted, connected) = subject.pair().await?;
    let echo = tokio::task::spawn_local(async move { accepted.echo().await });
    let end = client(connected).await?;
    drop(end);
    // The peer has gone without ending: what the echo makes of it is another contract's affair.
    let _ = echo.await.map_err(|error| Failure(format!("the echo: {error}")))?;
    Ok(())
}

async fn echo(subject: &Subject) -> Check {
    const SIZES: &[usize] =
        &[1, 2, 1023, 1024, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1 << 20, 10_000_000];
    with_echo(subject, async |mut end| {
        end.write(b"").await?;
        for size in SIZES {
            let bytes = pattern(*size, *size as u64);
            let echo = end.converse(&bytes, bytes.len()).await?;
            same_bytes(&format!("{size} bytes"), &echo, &bytes)?;
        }
        Ok(end)
    })
    .await
}

async fn order(subject: &Subject) -> Check {
    const BYTES: usize = 2_000_000;
    const LONGEST: u64 = 9_000;
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let bytes = pattern(BYTES, 7);
    let write = async {
        let mut state = 1;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let len = rest.len().min((next(&mut state) % LONGEST) as usize);
            connected.write(&rest[..len]).await?;
            rest = &rest[len..];
        }
        Ok(())
    };
    let read = async {
        let mut state = 2;
        let mut got = Vec::with_capacity(BYTES);
        while got.len() < BYTES {
            let mut buf = vec![0; 1 + (next(&mut state) % LONGEST) as usize];
            match accepted.read_some(&mut buf).await? {
                Some(count) => got.extend_from_slice(&buf[..count]),
                None => return Err(Failure(format!("the link ended after {} of {BYTES} bytes", got.len()))),
            }
        }
        Ok(got)
    };
    let ((), got) = tokio::try_join!(write, read)?;
    same_bytes("cut at random", &got, &bytes)
}

async fn duplex(subject: &Subject) -> Check {
    const BYTES: usize = 4 << 20;
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let (there, back) = (pattern(BYTES, 3), pattern(BYTES, 4));
    let (at_accepted, at_connected) =
        tokio::try_join!(accepted.converse(&back, BYTES), connected.converse(&there, BYTES))?;
    same_bytes("there", &at_accepted, &there)?;
    same_bytes("back", &at_connected, &back)
}

async fn small_reads(subject: &Subject) -> Check {
    const BYTES: usize = 5_000;
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let bytes = pattern(BYTES, 5);
    let read = async {
        let mut got = Vec::new();
        while got.len() < BYTES {
            got.extend(accepted.read(1).await?);
        }
        Ok(got)
    };
    let ((), got) = tokio::try_join!(connected.write(&bytes), read)?;
    same_bytes("one at a time", &got, &bytes)
}

async fn vectored(subject: &Subject) -> Check {
    // Far above what a system takes in one call (IOV_MAX is 1024 on Linux).
    const SLICES: usize = 5_000;
    let bytes = pattern(SLICES * 8, 6);
    let mut state = 3;
    let mut slices: Vec<&[u8]> = Vec::new();
    let mut rest = bytes.as_slice();
    for _ in 0..SLICES {
        let (slice, behind) = rest.split_at((next(&mut state) % 8) as usize);
        slices.push(slice);
        rest = behind;
    }
    // Empty ones in front, more than the system takes in one call: the write must look past them.
    slices.splice(0..0, std::iter::repeat_n(&b""[..], 1_500));
    let expected: Vec<u8> = slices.concat();
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    let write = async {
        let mut left: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut left = left.as_mut_slice();
        let mut sent = 0;
        while sent < expected.len() {
            let taken = poll_fn(|cx| connected.poll_write(cx, left)).await?;
            IoSlice::advance_slices(&mut left, taken);
            sent += taken;
        }
        connected.flush().await
    };
    let ((), got) = tokio::try_join!(write, accepted.read(expected.len()))?;
    same_bytes("from slices", &got, &expected)
}

async fn nothing(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    for bufs in [&[][..], &[IoSlice::new(b""), IoSlice::new(b"")]] {
        let taken = poll_fn(|cx| connected.link.poll_write(cx, bufs, ChunkInfo::default())).await?;
        ensure!(taken == 0, "{taken} of no bytes were taken");
    }
    connected.write(b"x").await?;
    ensure!(accepted.read(1).await? == b"x", "writing nothing came to something");
    ensure!(accepted.framing() == Framing::Stream, "the link is no stream");
    Ok(())
}

async fn flush(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = subject.pair().await?;
    connected.flush().await?;
    for byte in [b"a", b"b", b"c"] {
        connected.write(byte).await?;
        connected.flush().await?;
        ensure!(accepted.read(1).await? == byte, "flushed bytes did not arrive");
    }
    Ok(())
}
