// SPDX-License-Identifier: Apache-2.0
//! Addresses as they stand in a configuration: `scheme://address?name=value&name=value`.
//!
//! The address part is the transport's own affair (`host:port`, a path, a name); this module knows no scheme.

use crate::{Error, ErrorCode, Result};

/// The longest address that is read. A transport's address is written by an operator or a client; both are people.
pub const MAX_URI_BYTES: usize = 4096;

/// An address taken apart. Everything borrows from the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// What stands before `://`.
    pub scheme: &'a str,
    /// What stands between `://` and `?`: `host:port`, `/path`, a name. Not decoded.
    pub address: &'a str,
    /// What stands behind `?`, or nothing. Read it with [`crate::settings::Settings::apply_query`].
    pub query: &'a str,
}

impl<'a> Uri<'a> {
    /// Takes `text` apart and checks that its scheme is `scheme`.
    ///
    /// # Errors
    /// [`ErrorCode::Config`] with a text that quotes what is wrong: too long, control characters or blanks, no
    /// `://`, another scheme, or no address.
    pub fn parse(text: &'a str, scheme: &str) -> Result<Uri<'a>> {
        let refuse = |what: String| Err(Error::new(ErrorCode::Config, what));
        if text.len() > MAX_URI_BYTES {
            return refuse(format!("the address has {} bytes; at most {MAX_URI_BYTES} are read", text.len()));
        }
        if let Some(bad) = text.chars().find(|c| c.is_control() || c.is_whitespace()) {
            return refuse(format!("{text:?}: an address cannot contain {bad:?}"));
        }
        let Some((found, rest)) = text.split_once("://") else {
            return refuse(format!("{text:?} is not an address: expected {scheme}://..."));
        };
        if !found.eq_ignore_ascii_case(scheme) {
            return refuse(format!(
                "{text:?}: the scheme is {found:?}, and this transport serves {scheme:?}"
            ));
        }
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        if address.is_empty() {
            return refuse(format!("{text:?}: nothing stands behind {found}://"));
        }
        Ok(Uri { scheme: found, address, query })
    }
}

/// `host:port` taken apart; the brackets of an IPv6 address (`[::1]:61613`) are removed.
///
/// # Errors
/// [`ErrorCode::Config`] when the port is missing or not a number up to 65535, or an IPv6 address stands without
/// brackets.
pub fn host_and_port(address: &str) -> Result<(&str, u16)> {
    let refuse = |what: &str| Err(Error::new(ErrorCode::Config, format!("{address:?}: {what}")));
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) => match port.strip_prefix(':') {
                Some(port) => (host, port),
                None => return refuse("expected a port, as in [::1]:61613"),
            },
            None => return refuse("the bracket is not closed"),
        },
        None => match address.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return refuse("an IPv6 address stands in brackets, as in [::1]:61613");
            }
            Some(pair) => pair,
            None => return refuse("expected a port, as in localhost:61613"),
        },
    };
    if host.is_empty() {
        return refuse(
            "expected a host before the port; 0.0.0.0 or [::] means every address of this machine",
        );
    }
    // `parse` alone would take a leading plus sign.
    match port.parse::<u16>() {
        Ok(number) if port.bytes().all(|b| b.is_ascii_digit()) => Ok((host, number)),
        _ => refuse("the port must be a number from 0 to 65535"),
    }
}

/// Decodes `%41` and leaves everything else as it is.
///
/// # Errors
/// [`ErrorCode::Config`] for a `%` without two hexadecimal digits, or bytes that are not UTF-8.
pub fn percent_decode(text: &str) -> Result<String> {
    let refuse = |what: &str| Err(Error::new(ErrorCode::Config, format!("{text:?}: {what}")));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return refuse("% must be followed by two hexadecimal digits");
        };
        bytes.push((high * 16 + low) as u8);
        rest = tail.get(2..).unwrap_or_default();
    }
    String::from_utf8(bytes).or_else(|_| refuse("the decoded text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let uri = Uri::parse("tcp://127.0.0.1:61613?backlog=5&nodelay=true", "tcp").unwrap();
        assert_eq!(uri, Uri { scheme: "tcp", address: "127.0.0.1:61613", query: "backlog=5&nodelay=true" });
        assert_eq!(Uri::parse("TCP://a:1", "tcp").unwrap().address, "a:1");
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_text_that_quotes_it() {
        for (text, part) in [
            ("", "is not an address"),
            ("tcp:", "is not an address"),
            ("tcp://", "nothing stands behind"),
            ("tcp://?a=b", "nothing stands behind"),
            ("udp://a:1", "serves \"tcp\""),
            ("tcp://a b:1", "cannot contain"),
            ("tcp://a:1\n", "cannot contain"),
        ] {
            let error = Uri::parse(text, "tcp").unwrap_err();
            assert_eq!(error.code, ErrorCode::Config, "{text:?}");
            assert!(error.message.contains(part), "{text:?}: {}", error.message);
        }
        assert!(Uri::parse(&format!("tcp://{}", "a".repeat(MAX_URI_BYTES)), "tcp").is_err());
    }

    #[test]
    fn host_and_port_know_ipv4_ipv6_and_names() {
        assert_eq!(host_and_port("127.0.0.1:0").unwrap(), ("127.0.0.1", 0));
        assert_eq!(host_and_port("[::1]:61613").unwrap(), ("::1", 61613));
        assert_eq!(host_and_port("broker.example:65535").unwrap(), ("broker.example", 65535));
        for bad in
            ["", "a", ":1", "a:", "a:65536", "a:-1", "a:+1", "::1:5", "[::1]", "[::1:5", "[::1]5", "a:1x"]
        {
            assert!(host_and_port(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn percent_signs_are_decoded_or_refused() {
        assert_eq!(percent_decode("a%20b%C3%A4").unwrap(), "a bä");
        for bad in ["%", "%4", "%zz", "%ff"] {
            assert!(percent_decode(bad).is_err(), "{bad:?} was taken");
        }
    }
}
