// SPDX-License-Identifier: Apache-2.0
//! Finds out which of the allowed protocols a link speaks, by its first bytes.

use sabir_host::{ChunkInfo, Link, Match, Protocol};
use std::future::poll_fn;

/// More first bytes than these are not looked at.
const MAX_PREFIX_BYTES: usize = 1024;

/// The protocol, and the bytes that were read to find it.
pub async fn detect(
    protocols: &[Protocol],
    link: &mut Link,
    attributes: &[(String, String)],
) -> Result<(Protocol, Vec<u8>), String> {
    let framing = link.framing();
    let mut candidates: Vec<&Protocol> = protocols.iter().filter(|known| known.works_on(framing)).collect();
    // Where only one protocol can be meant, it says itself what is wrong with the bytes, and in its own words.
    if let [only] = candidates.as_slice() {
        return Ok(((*only).clone(), Vec::new()));
    }
    let mut prefix = Vec::new();
    loop {
        let mut undecided = Vec::new();
        for candidate in candidates {
            match candidate.matches(&prefix, attributes) {
                Match::Yes => return Ok((candidate.clone(), prefix)),
                Match::NeedMore => undecided.push(candidate),
                Match::No => {}
            }
        }
        if undecided.is_empty() || prefix.len() >= MAX_PREFIX_BYTES {
            return Err("none of the protocols allowed here is spoken".to_owned());
        }
        candidates = undecided;
        read_more(link, &mut prefix).await?;
    }
}

async fn read_more(link: &mut Link, prefix: &mut Vec<u8>) -> Result<(), String> {
    let known = prefix.len();
    // Not an array: it would be part of every link's task for as long as that lives.
    prefix.resize(MAX_PREFIX_BYTES, 0);
    let mut info = ChunkInfo::default();
    let room = prefix.get_mut(known..).unwrap_or_default();
    let count = poll_fn(|cx| link.poll_read(cx, room, &mut info)).await.map_err(|error| error.to_string())?;
    prefix.truncate(known + count);
    if count == 0 {
        return Err("the peer has left".to_owned());
    }
    Ok(())
}
