// SPDX-License-Identifier: Apache-2.0
//! Contracts of links that send bytes of files themselves: what arrives is what the host would have read and written.

use super::end::{Check, End, Failure, ensure, pattern, same_bytes};
use super::run::{Contract, contract};
use super::subject::Subject;
use std::fs::File;
use std::future::poll_fn;
use std::io::{Seek, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const CONTRACTS: &[Contract] = &[
    contract!(
        "transport.file.bytes",
        Files,
        "A part of a file arrives whole and in its place between writes, however large it is.",
        bytes
    ),
    contract!(
        "transport.file.end",
        Files,
        "Beyond the end of a file nothing is sent, and the link goes on.",
        end_of_file
    ),
];

/// A file without a name that holds these bytes, its position at their end.
fn file_of(bytes: &[u8]) -> Check<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("sabir-suite-{}-{number}", std::process::id()));
    let made = File::options().read(true).write(true).create_new(true).open(&path).and_then(|mut file| {
        std::fs::remove_file(&path)?;
        file.write_all(bytes)?;
        Ok(file)
    });
    made.map_err(|error| Failure(format!("a file for the suite: {}: {error}", path.display())))
}

/// Sends `len` bytes of `file` from `offset`, in as many pieces as the link takes.
async fn send(end: &mut End, file: &File, offset: u64, len: usize) -> Check {
    let mut sent = 0;
    while sent < len {
        let (at, rest) = (offset + sent as u64, len - sent);
        let taken = poll_fn(|cx| end.link.poll_send_file(cx, file.as_fd(), at, rest)).await?;
        ensure!(taken > 0, "poll_send_file took nothing at byte {at} of the file, which goes on there");
        sent += taken;
    }
    Ok(())
}

/// Both ends, the first of them one that sends files.
async fn pair(subject: &Subject) -> Check<(sabir_host::Listener, End, End)> {
    let (listener, accepted, connected) = subject.pair().await?;
    match (accepted.link.sends_files(), connected.link.sends_files()) {
        (true, _) => Ok((listener, accepted, connected)),
        (false, true) => Ok((listener, connected, accepted)),
        (false, false) => {
            Err(Failure("the transport claims that links send files, and neither end of one does".to_owned()))
        }
    }
}

async fn bytes(subject: &Subject) -> Check {
    // Beyond what both ends' buffers hold, so that sending must wait and go on.
    const BYTES: usize = 12 << 20;
    const SKIPPED: usize = 4_097;
    let content = pattern(BYTES, 8);
    let mut file = file_of(&content)?;
    let (_listener, mut sender, mut reader) = pair(subject).await?;
    let write = async {
        sender.write(b"before").await?;
        send(&mut sender, &file, SKIPPED as u64, BYTES - SKIPPED).await?;
        send(&mut sender, &file, 0, 1).await?;
        sender.write(b"after").await
    };
    let expected = [b"before", &content[SKIPPED..], &content[..1], b"after"].concat();
    let ((), got) = tokio::try_join!(write, reader.read(expected.len()))?;
    same_bytes("of a file between writes", &got, &expected)?;
    let position = file.stream_position().map_err(|error| Failure(error.to_string()))?;
    ensure!(position == BYTES as u64, "the file's own position has moved to {position}");
    Ok(())
}

async fn end_of_file(subject: &Subject) -> Check {
    let file = file_of(b"short")?;
    let (_listener, mut sender, mut reader) = pair(subject).await?;
    let taken = poll_fn(|cx| sender.link.poll_send_file(cx, file.as_fd(), 3, 100)).await?;
    ensure!(taken == 2, "{taken} bytes of a file were sent that has 2 there");
    for offset in [5, 6, 1 << 40] {
        let taken = poll_fn(|cx| sender.link.poll_send_file(cx, file.as_fd(), offset, 1)).await?;
        ensure!(taken == 0, "{taken} bytes were sent from byte {offset} of a file of 5 bytes");
    }
    sender.write(b"!").await?;
    same_bytes("the end of the file", &reader.read(3).await?, b"rt!")
}
