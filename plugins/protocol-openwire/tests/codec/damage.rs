// SPDX-License-Identifier: Apache-2.0
//! Damaged frames: errors, never a panic, and never more memory than the frame's budget.

use crate::counting::count;
use crate::frames::{Connection, body, captures};
use bytes::Bytes;
use sabir_protocol_openwire::codec::{Command, Decoder, Encoder, Error};

/// Each frame of one connection in the tight and one in the loose encoding, with a decoder that has read what came
/// before.
fn each(versions: &[u8], mut see: impl FnMut(&Connection, &Decoder, &Bytes)) {
    let mut seen = 0;
    for capture in captures().iter().filter(|capture| capture.name.starts_with("client-5")) {
        let chosen = capture.connections.iter().filter(|it| versions.contains(&it.options.version)).take(2);
        for connection in chosen {
            let mut decoder = Decoder::new(connection.options);
            for golden in connection.frames.iter().take(90) {
                let frame = body(&decoder, &golden.frame);
                see(connection, &decoder, &frame);
                decoder.decode(&frame).unwrap();
                seen += 1;
            }
        }
    }
    assert!(seen > 120 * versions.len(), "{seen}");
}

/// What a frame of this length may make us take: its budget, and as much again while vectors grow and texts are turned.
fn budget(frame: &[u8]) -> usize {
    2 * (64 * 1024 + 4 * frame.len())
}

/// The decoder is a copy, made beforehand: only reading is counted.
fn decode_within_budget(decoder: &Decoder, frame: &[u8]) -> Result<Command, Error> {
    let mut decoder = decoder.clone();
    let (result, taken) = count(|| decoder.decode(frame));
    // The slots of the cache are not the frame's: an index makes the table as long as was agreed.
    let slots = usize::from(decoder.options().cache) * 24 * 2;
    assert!(taken.bytes <= budget(frame) + slots, "{taken:?} for a frame of {} bytes", frame.len());
    result
}

#[test]
fn every_frame_that_is_cut_short_is_an_error() {
    each(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], |_, decoder, frame| {
        for len in 0..frame.len() {
            let mut decoder = decoder.clone();
            let cut = frame.slice(..len);
            assert!(decoder.decode(&cut).is_err(), "{len} of {frame:?}");
        }
    });
}

#[test]
fn every_frame_that_goes_on_is_an_error() {
    each(&[1, 9, 12], |_, decoder, frame| {
        let longer = [frame, &b"\0"[..]].concat();
        assert!(
            matches!(decoder.clone().decode(&longer), Err(Error::Trailing { bytes: 1, .. })),
            "{frame:?}"
        );
    });
}

/// Whatever stands there, and whether it is a length or not.
#[test]
fn numbers_that_are_made_huge_cost_no_more_than_the_budget_of_the_frame() {
    const HUGE: [&[u8]; 5] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x7f, 0xff],
        &[0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff],
        &[0x80, 0, 0, 0],
    ];
    each(&[12], |_, decoder, frame| {
        for huge in HUGE {
            for at in 0..frame.len().saturating_sub(huge.len()) {
                let mut damaged = frame.to_vec();
                damaged[at..at + huge.len()].copy_from_slice(huge);
                let _ = decode_within_budget(decoder, &damaged);
            }
        }
    });
}

#[test]
fn a_frame_with_any_bit_turned_is_an_error_or_another_frame_that_can_be_written() {
    let (mut errors, mut others) = (0, 0);
    each(&[12], |connection, decoder, frame| {
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            match decode_within_budget(decoder, &damaged) {
                Err(_) => errors += 1,
                Ok(command) => {
                    others += 1;
                    let mut encoder = Encoder::new(connection.options);
                    encoder.encode_from(&command, &damaged, &mut Vec::new()).unwrap();
                }
            }
        }
    });
    assert!(errors > 10_000 && others > 10_000, "{errors} {others}");
}

#[test]
fn a_damaged_frame_of_one_version_does_no_harm_in_another() {
    for capture in captures() {
        for connection in &capture.connections {
            for version in 1..=12 {
                for tight in [false, true] {
                    let options =
                        sabir_protocol_openwire::codec::Options { version, tight, ..connection.options };
                    let mut decoder = Decoder::new(options);
                    for golden in &connection.frames {
                        let _ = decoder.decode(&golden.frame);
                        let _ = golden.frame.get(4..).map(|frame| decoder.decode(frame));
                    }
                }
            }
        }
    }
}
