// SPDX-License-Identifier: Apache-2.0
//! The corpus of the fuzz target is replayed here, with what the target asks.

use sabir_protocol_openwire::codec::{Blob, Command, Decoder, Encoder, Framed, Located, Options};
use std::path::Path;

/// The same as `fuzz/openwire/fuzz_targets/codec.rs`: the first bytes choose the options, the rest is what a peer sends.
fn replay(data: &[u8]) -> usize {
    let Some(([version, how, cache], mut bytes)) = data.split_first_chunk() else { return 0 };
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
    let mut seen = 0;
    while let Ok(Framed::Whole { body, consumed }) = decoder.frame(bytes) {
        let frame = &bytes[body];
        bytes = &bytes[consumed..];
        let located = decoder.locate_content(frame, frame.len());
        let Ok(command) = decoder.decode(frame) else { break };
        seen += 1;
        if let Some(Blob::Span(span)) = command.message().and_then(|message| message.content.clone()) {
            assert_eq!(located, Ok(Located::At(span)));
        }
        let mut out = Vec::new();
        if encoder.encode_from(&command, frame, &mut out).is_err() {
            continue;
        }
        let start = if options.size_prefix || matches!(command, Command::WireFormatInfo(_)) { 4 } else { 0 };
        let again = peer.decode(&out[start..]).expect("what was written can be read");
        assert_eq!(again.code(), command.code());
    }
    seen
}

#[test]
fn the_corpus_does_no_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/openwire/corpus");
    let (mut files, mut frames) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        frames += replay(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 20 && frames >= 100, "{files} files, {frames} frames");
}
