// SPDX-License-Identifier: Apache-2.0
//! Contracts of links as others stand on them: tls on tcp, ws on tls. The wrapping transports are the suite's own.

use super::end::{Check, End, Failure, ensure, pattern, ready, same_bytes};
use super::run::{Contract, contract};
use super::subject::{Subject, accept};
use super::wrapping;
use sabir_host::{Framing, Listener, Registry, Transport};

pub(super) const CONTRACTS: &[Contract] = &[
    contract!("transport.wrap.bytes", Stream, "A transport that changes bytes can stand on this one.", bytes),
    contract!("transport.wrap.framing", Stream, "A transport of messages can stand on this one.", framing),
    contract!("transport.wrap.one-to-many", Stream, "One link can carry several.", one_to_many),
    contract!("transport.wrap.many-to-one", Stream, "Several links can make one.", many_to_one),
];

fn wrapper(scheme: &str) -> Check<Transport> {
    let mut registry = Registry::new();
    registry.add(&wrapping::PLUGIN).map_err(|error| Failure(format!("{error}")))?;
    let component = registry.transport(scheme).ok_or_else(|| Failure(format!("{scheme} is missing")))?;
    Ok(component.open_transport("{}")?)
}

/// A listener of `scheme` over the subject's, and where to find it.
fn listen(subject: &Subject, scheme: &str) -> Check<(Transport, Listener, String)> {
    let wrapper = wrapper(scheme)?;
    let inner = subject.listen()?;
    let uri = subject.uri_of(inner.local_address());
    let address = inner.local_address().to_owned();
    let listener = wrapper.wrap_listener(inner, &format!("{scheme}://{address}"))?;
    ensure!(listener.local_address() == address, "the wrapped listener tells another address");
    Ok((wrapper, listener, uri))
}

/// Both ends of a link of `scheme` over the subject's.
async fn wrapped(subject: &Subject, scheme: &str) -> Check<(Listener, End, End)> {
    let (wrapper, mut listener, uri) = listen(subject, scheme)?;
    let link = wrapper.wrap_link(subject.connect_to(&uri)?, &format!("{scheme}://"))?;
    let (accepted, connected) = tokio::try_join!(accept(&mut listener), ready(link))?;
    Ok((listener, accepted, connected))
}

async fn converse(accepted: &mut End, connected: &mut End) -> Check {
    let (there, back) = (pattern(1 << 20, 21), pattern(1 << 20, 22));
    let (heard, answer) =
        tokio::try_join!(accepted.converse(&back, there.len()), connected.converse(&there, back.len()))?;
    same_bytes("there", &heard, &there)?;
    same_bytes("back", &answer, &back)
}

async fn bytes(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = wrapped(subject, "xor").await?;
    converse(&mut accepted, &mut connected).await
}

async fn framing(subject: &Subject) -> Check {
    let (_listener, mut accepted, mut connected) = wrapped(subject, "framed").await?;
    ensure!(accepted.framing() == Framing::Message, "the framing is {:?}", accepted.framing());
    converse(&mut accepted, &mut connected).await
}

/// Reads one frame of `mux` as its client does.
async fn read_frame(raw: &mut End) -> Check<wrapping::MuxFrame> {
    let head = raw.read(3).await?;
    let [channel, low, high] = head.as_slice() else { return Err(Failure("no head".to_owned())) };
    let bytes = raw.read(usize::from(u16::from_le_bytes([*low, *high]))).await?;
    Ok((*channel, bytes))
}

async fn one_to_many(subject: &Subject) -> Check {
    const CHANNELS: u8 = 5;
    let (_wrapper, mut listener, uri) = listen(subject, "mux")?;
    let mut raw = ready(subject.connect_to(&uri)?).await?;
    let mut ends = Vec::new();
    for channel in 1..=CHANNELS {
        raw.write(&wrapping::mux_frame(channel, &[channel])).await?;
        ends.push(accept(&mut listener).await?);
    }
    // In the other order, so that each finds its own bytes and not the next ones.
    for (at, end) in ends.iter_mut().enumerate().rev() {
        let channel = end.read(1).await?;
        ensure!(channel == [at as u8 + 1], "link {at} carries channel {channel:?}");
        end.write(&[channel[0], b'!']).await?;
        let frame = read_frame(&mut raw).await?;
        ensure!(frame == (channel[0], vec![channel[0], b'!']), "the answer came as {frame:?}");
    }
    // One ends, the others live.
    raw.write(&wrapping::mux_frame(1, b"")).await?;
    raw.write(&wrapping::mux_frame(2, b"on")).await?;
    let [first, second, ..] = ends.as_mut_slice() else { return Err(Failure("no links".to_owned())) };
    ensure!(first.read_some(&mut [0; 8]).await?.is_none(), "the ended link has not ended");
    ensure!(second.read(2).await? == b"on", "the other link has lost its bytes");
    Ok(())
}

async fn many_to_one(subject: &Subject) -> Check {
    const GROUPS: u8 = 3;
    let (_wrapper, mut listener, uri) = listen(subject, "join")?;
    let mut hears = Vec::new();
    let mut says = Vec::new();
    for group in 0..GROUPS {
        hears.push(ready(subject.connect_to(&uri)?).await?);
        says.push(ready(subject.connect_to(&uri)?).await?);
        hears[usize::from(group)].write(&wrapping::join_announce(group, false)).await?;
    }
    let announce = async {
        // The last group first.
        for group in (0..GROUPS).rev() {
            says[usize::from(group)].write(&wrapping::join_announce(group, true)).await?;
            says[usize::from(group)].write(&[group]).await?;
        }
        Ok::<_, Failure>(())
    };
    let serve = async {
        let mut ends = Vec::new();
        for _ in 0..GROUPS {
            let mut end = accept(&mut listener).await?;
            let group = end.read(1).await?;
            end.write(&group).await?;
            ends.push(end);
        }
        Ok(ends)
    };
    let ((), _ends) = tokio::try_join!(announce, serve)?;
    for (group, end) in hears.iter_mut().enumerate() {
        let heard = end.read(1).await?;
        ensure!(heard == [group as u8], "group {group} heard {heard:?}");
    }
    Ok(())
}
