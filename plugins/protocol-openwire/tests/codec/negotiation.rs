// SPDX-License-Identifier: Apache-2.0
//! The first frame of each side, and what follows from both.

use crate::frames::encode;
use sabir_protocol_openwire::codec::map::Value;
use sabir_protocol_openwire::codec::{
    Command, Decoder, Encoder, Error, NEWEST_VERSION, Options, WireFormatInfo,
};

fn changed(name: &str, value: Value) -> WireFormatInfo {
    let mut info = WireFormatInfo::preferred();
    info.set(name, value);
    info
}

#[test]
fn two_that_prefer_the_same_get_what_they_prefer() {
    let preferred = WireFormatInfo::preferred();
    let agreed = Options::negotiate(&preferred, &preferred).unwrap();
    let expected = Options {
        version: NEWEST_VERSION,
        tight: true,
        size_prefix: true,
        cache: 1024,
        stack_trace: true,
        max_frame: i64::MAX as u64,
        ..Options::initial()
    };
    assert_eq!(agreed, expected);
}

#[test]
fn what_one_cannot_do_is_not_done() {
    let ours = WireFormatInfo::preferred();
    let with = |theirs: &WireFormatInfo| {
        let one = Options::negotiate(&ours, theirs).unwrap();
        assert_eq!(one, Options::negotiate(theirs, &ours).unwrap());
        one
    };
    assert!(!with(&changed("TightEncodingEnabled", Value::Boolean(false))).tight);
    assert!(!with(&changed("StackTraceEnabled", Value::Boolean(false))).stack_trace);
    assert!(with(&changed("SizePrefixDisabled", Value::Boolean(true))).size_prefix);
    assert_eq!(with(&changed("CacheEnabled", Value::Boolean(false))).cache, 0);
    assert_eq!(with(&changed("CacheSize", Value::Int(500))).cache, 500);
    assert_eq!(with(&changed("CacheSize", Value::Int(0))).cache, 16_383);
    assert_eq!(with(&changed("MaxFrameSize", Value::Long(1000))).max_frame, 1000);
    assert_eq!(with(&changed("MaxFrameSize", Value::Long(0))).max_frame, i64::MAX as u64);
    let (short, open) =
        (changed("MaxFrameSize", Value::Long(1000)), changed("MaxFrameSize", Value::Long(-1)));
    assert_eq!(Options::negotiate(&short, &open).unwrap().max_frame, 1000);
    assert_eq!(Options::negotiate(&open, &short).unwrap().max_frame, 1000);
    // A peer that says nothing can do nothing.
    let silent = WireFormatInfo { version: 3, properties: None };
    let agreed = Options::negotiate(&ours, &silent).unwrap();
    assert_eq!((agreed.version, agreed.tight, agreed.cache, agreed.size_prefix), (3, false, 0, true));
}

#[test]
fn versions_are_the_lower_of_both_and_none_below_one() {
    let of = |version| WireFormatInfo { version, ..WireFormatInfo::preferred() };
    let agreed = |theirs| Options::negotiate(&of(12), &of(theirs)).map(|options| options.version);
    assert_eq!(agreed(9), Ok(9));
    assert_eq!(agreed(i32::MAX), Ok(12));
    for version in [0, -1, i32::MIN] {
        assert_eq!(agreed(version), Err(Error::BadVersion(version)));
    }
}

#[test]
fn a_cache_of_a_size_that_nobody_has_is_refused() {
    let ours = WireFormatInfo::preferred();
    let theirs = changed("CacheSize", Value::Int(-1));
    assert_eq!(Options::negotiate(&ours, &theirs), Err(Error::BadProperty("CacheSize")));
}

#[test]
fn the_first_frame_is_written_in_one_way_whatever_is_agreed() {
    let info = Command::WireFormatInfo(Box::new(changed("Host", Value::Text("a.example".into()))));
    let initial = encode(&mut Encoder::new(Options::initial()), &info);
    assert_eq!(initial[4..17], *b"\x01ActiveMQ\0\0\0\x0c");
    for (tight, size_prefix) in [(false, false), (true, true), (true, false)] {
        let options = Options { tight, size_prefix, cache: 1024, ..Options::initial() };
        assert_eq!(encode(&mut Encoder::new(options), &info), initial);
        assert_eq!(Decoder::new(options).decode(&initial[4..]).unwrap(), info);
    }
}

#[test]
fn what_is_asked_of_it_is_found() {
    let mut info = changed("Host", Value::Text("a.example".into()));
    info.set("ProviderName", Value::Text("ActiveMQ".into()));
    assert_eq!(info.host(), Some("a.example"));
    assert_eq!(info.provider_name(), Some("ActiveMQ"));
    assert_eq!(info.provider_version(), None);
    assert_eq!(info.max_inactivity_duration_ms(), 30_000);
    assert_eq!(info.max_inactivity_duration_initial_delay_ms(), 10_000);
    assert!(info.tcp_no_delay_enabled());
    info.set("TcpNoDelayEnabled", Value::Boolean(false));
    assert!(!info.tcp_no_delay_enabled());
}

fn decode(frame: &[u8]) -> Result<Command, Error> {
    Decoder::new(Options::initial()).decode(frame)
}

#[test]
fn another_protocol_is_told_by_its_magic() {
    for frame in [&b"\x01ActiveMX\0\0\0\x0c\0"[..], b"\x01HTTP", b"\x01AMQP\0\0\x09\x01"] {
        assert_eq!(decode(frame), Err(Error::BadMagic));
    }
    assert!(matches!(decode(b"\x01Active"), Err(Error::Truncated { .. })));
}

fn with_properties(properties: &[u8]) -> Vec<u8> {
    [b"\x01ActiveMQ\0\0\0\x0c\x01", &(properties.len() as u32).to_be_bytes()[..], properties].concat()
}

#[test]
fn properties_are_few_and_short_and_flat() {
    let cases: [(&str, Vec<u8>); 6] = [
        ("a length beyond the frame", b"\x01ActiveMQ\0\0\0\x0c\x01\x7f\xff\xff\xff".to_vec()),
        ("65 entries", with_properties(&[&[0, 0, 0, 65][..], &[0, 1, b'a', 0].repeat(65)].concat())),
        ("a count beyond the bytes", with_properties(&[0, 0, 0, 64, 0])),
        ("513 bytes", with_properties(&[&[0, 0, 0, 1, 0, 1, b'a', 9, 2, 1][..], &[b'x'; 513]].concat())),
        ("a map within", with_properties(&[0, 0, 0, 1, 0, 1, b'a', 11, 0, 0, 0, 0])),
        ("a list within", with_properties(&[0, 0, 0, 1, 0, 1, b'a', 12, 0, 0, 0, 0])),
    ];
    for (name, frame) in cases {
        assert!(decode(&frame).is_err(), "{name}");
    }
    let longest = with_properties(&[&[0, 0, 0, 1, 0, 1, b'a', 9, 2, 0][..], &[b'x'; 512]].concat());
    assert!(decode(&longest).is_ok());
    let most = with_properties(&[&[0, 0, 0, 64][..], &[0, 1, b'a', 0].repeat(64)].concat());
    assert!(decode(&most).is_ok());
}
