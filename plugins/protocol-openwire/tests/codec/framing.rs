// SPDX-License-Identifier: Apache-2.0
//! Where a frame ends, however much of it is there.

use crate::frames::{body, captures, detach};
use bytes::Bytes;
use sabir_protocol_openwire::codec::{Blob, Command, Decoder, Framed, Located};

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

/// Cuts the content out of a frame, as somebody does who does not want to hold long ones in one piece.
#[test]
fn content_is_found_in_the_front_of_a_frame_and_can_be_left_out() {
    let mut seen = 0;
    for capture in captures() {
        for connection in &capture.connections {
            let mut decoder = Decoder::new(connection.options);
            for golden in &connection.frames {
                let frame = body(&decoder, &golden.frame);
                let before = decoder.clone();
                let mut command = decoder.decode(&frame).unwrap();
                let content = command.message().and_then(|message| message.content.clone());
                let Some(Blob::Span(span)) = content else {
                    let located = before.locate_content(&frame, frame.len());
                    let is_first = matches!(command, Command::WireFormatInfo(_));
                    assert!(is_first || located == Ok(Located::Nowhere), "{located:?} {}", golden.text);
                    continue;
                };
                for len in 0..frame.len() {
                    let expected = match before.locate_content(&frame[..len], frame.len()).unwrap() {
                        Located::At(found) => found == span && len >= span.start,
                        Located::Need(needed) => len < span.start && (len + 1..=span.start).contains(&needed),
                        Located::Nowhere => false,
                    };
                    assert!(expected, "{len} {span:?} {}", golden.text);
                }
                // The length says that the content goes beyond the frame.
                assert!(before.locate_content(&frame[..span.start], span.end - 1).is_err());
                let rest: Bytes = [&frame[..span.start], &frame[span.end..]].concat().into();
                let mut around = before.clone().decode_around(&rest, span.len()).unwrap();
                assert!(before.clone().decode_around(&rest, span.len() + 1).is_err());
                detach(&mut command, &frame);
                detach(&mut around, &rest);
                let message = match &mut around {
                    Command::Message(message) => message,
                    Command::MessageDispatch(dispatch) => dispatch.message.as_mut().unwrap(),
                    other => panic!("{other:?}"),
                };
                assert_eq!(message.content, Some(Bytes::new().into()));
                message.content = Some(frame.slice(span).into());
                assert_eq!(around, command);
                seen += 1;
            }
        }
    }
    assert!(seen > 300, "{seen}");
}
