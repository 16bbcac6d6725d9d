// SPDX-License-Identifier: Apache-2.0
//! Where a frame ends, however much of it is there.

use crate::frames::captures;
use sabir_protocol_openwire::codec::{Decoder, Framed};

#[test]
fn a_frame_is_whole_when_its_last_byte_is_there_and_asks_for_no_more_than_it_has() {
    let (mut prefixed, mut bare) = (0, 0);
    for capture in captures().iter().filter(|capture| capture.name.ends_with("-v12.frames")) {
        for connection in &capture.connections {
            let mut decoder = Decoder::new(connection.options);
            for golden in &connection.frames {
                let whole = &golden.frame;
                for len in 0..whole.len() {
                    match decoder.frame(&whole[..len]).unwrap() {
                        Framed::Need(needed) => {
                            assert!((len + 1..=whole.len()).contains(&needed), "{len} {needed}")
                        }
                        found => panic!("{found:?} in {len} bytes of {}", whole.len()),
                    }
                }
                // What follows is not of this frame.
                let more = [&whole[..], whole].concat();
                let Framed::Whole { body, consumed } = decoder.frame(&more).unwrap() else { panic!("whole") };
                assert_eq!(consumed, whole.len());
                decoder.decode(&more[body]).unwrap();
                *if connection.options.size_prefix { &mut prefixed } else { &mut bare } += 1;
            }
        }
    }
    assert!(prefixed > 300 && bare > 100, "{prefixed} {bare}");
}
