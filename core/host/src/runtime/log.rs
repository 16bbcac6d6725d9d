// SPDX-License-Identifier: Apache-2.0
//! The log of plugins, into `tracing`. Control characters are escaped: a peer's bytes must not draw on a terminal or
//! forge lines. The target that filters go by is `sabir::plugin`; the plugin's own is a field.

use sabir_abi::*;
use sabir_boundary::slices::{self, Attributes};
use std::ffi::c_void;
use std::fmt::Write;
use tracing::Level;

/// Longest text of one line, in bytes. What is beyond is cut.
const MAX_TEXT_BYTES: usize = 8 * 1024;

pub(super) unsafe extern "C" fn log_level(_: *mut c_void, _: sabir_slice) -> u32 {
    super::contained("log_level", 0, || {
        if tracing::enabled!(target: "sabir::plugin", Level::TRACE) {
            SABIR_LOG_TRACE
        } else if tracing::enabled!(target: "sabir::plugin", Level::DEBUG) {
            SABIR_LOG_DEBUG
        } else if tracing::enabled!(target: "sabir::plugin", Level::INFO) {
            SABIR_LOG_INFO
        } else if tracing::enabled!(target: "sabir::plugin", Level::WARN) {
            SABIR_LOG_WARN
        } else if tracing::enabled!(target: "sabir::plugin", Level::ERROR) {
            SABIR_LOG_ERROR
        } else {
            0
        }
    })
}

pub(super) unsafe extern "C" fn log(
    _: *mut c_void,
    level: u32,
    target: sabir_slice,
    text: sabir_slice,
    fields: sabir_attributes,
) {
    super::contained("log", (), || {
        // SAFETY: the caller's texts are valid during the call.
        let (target, text, fields) =
            unsafe { (slices::bytes(target), slices::bytes(text), Attributes::from_abi(fields)) };
        let target = escape(&String::from_utf8_lossy(target));
        let text = escape(&String::from_utf8_lossy(text));
        let mut shown = String::new();
        for (name, value) in fields.iter() {
            let separator = if shown.is_empty() { "" } else { " " };
            // Writing to a string cannot fail.
            let _ = write!(shown, "{separator}{}={}", escape(name), escape(value));
        }
        let (target, fields) = (target.as_str(), shown.as_str());
        match level {
            SABIR_LOG_ERROR => tracing::error!(target: "sabir::plugin", plugin = target, fields, "{text}"),
            SABIR_LOG_WARN => tracing::warn!(target: "sabir::plugin", plugin = target, fields, "{text}"),
            SABIR_LOG_INFO => tracing::info!(target: "sabir::plugin", plugin = target, fields, "{text}"),
            SABIR_LOG_DEBUG => tracing::debug!(target: "sabir::plugin", plugin = target, fields, "{text}"),
            _ => tracing::trace!(target: "sabir::plugin", plugin = target, fields, "{text}"),
        }
    });
}

/// The text with its control characters escaped, and cut when it is too long.
pub fn escape(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT_BYTES);
    let mut escaped = String::with_capacity(end);
    for character in text[..end].chars() {
        // Beside C0 and C1: what turns the direction of writing, or breaks lines for some readers.
        let hidden =
            matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || hidden {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    if end < text.len() {
        escaped.push_str("...");
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_sent_cannot_forge_lines_or_colours() {
        assert_eq!(escape("a\nb\x1b[31mc\u{9b}d"), "a\\nb\\u{1b}[31mc\\u{9b}d");
        assert_eq!(escape("grüße 消息"), "grüße 消息");
        assert_eq!(escape("\u{202e}evil"), "\\u{202e}evil");
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let text = "ü".repeat(MAX_TEXT_BYTES);
        let escaped = escape(&text);
        assert!(escaped.ends_with("ü...") && escaped.len() <= MAX_TEXT_BYTES + 3);
    }
}
