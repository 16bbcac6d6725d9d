// SPDX-License-Identifier: Apache-2.0
//! What a peer sends, in any version and encoding: read, written again, and read by somebody else. The first three bytes
//! choose the options.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sabir_protocol_openwire::codec::{Blob, Command, Decoder, Encoder, Framed, Located, Options};

fuzz_target!(|data: &[u8]| {
    let Some(([version, how, cache], mut bytes)) = data.split_first_chunk() else { return };
    let options = Options {
        version: version % 12 + 1,
        tight: how & 1 != 0,
        size_prefix: how & 2 != 0,
        stack_trace: how & 4 != 0,
        cache: u16::from(*cache) * 4,
        ..Options::initial()
    };
    let (mut decoder, mut encoder, mut peer) =
        (Decoder::new(options), Encoder::new(options), Decoder::new(options));
    while let Ok(Framed::Whole { body, consumed }) = decoder.frame(bytes) {
        assert!(body.end <= consumed && consumed <= bytes.len() && consumed > 0);
        let frame = &bytes[body];
        bytes = &bytes[consumed..];
        let located = decoder.locate_content(frame, frame.len());
        let Ok(command) = decoder.decode(frame) else { return };
        if let Some(Blob::Span(span)) = command.message().and_then(|message| message.content.clone()) {
            assert_eq!(located, Ok(Located::At(span)));
        }
        let mut out = Vec::new();
        // What came in as a text of 32,767 bytes and more cannot always go out again.
        if encoder.encode_from(&command, frame, &mut out).is_err() {
            continue;
        }
        let start = if options.size_prefix || matches!(command, Command::WireFormatInfo(_)) { 4 } else { 0 };
        let again = peer.decode(&out[start..]).expect("what was written can be read");
        assert_eq!(again.code(), command.code());
    }
});
