// SPDX-License-Identifier: Apache-2.0
//! Log lines on standard error: text for people, JSON for machines. What peers send never moves a terminal's cursor
//! or forges a line: control characters are escaped, and of similar lines only so many pass. Message bodies are never logged.

mod similar;

use crate::config::{Log, LogFormat};
use similar::Similar;
use std::io::{IsTerminal, Write};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Changes the level while the program runs.
#[derive(Clone, Debug)]
pub struct LevelHandle(reload::Handle<EnvFilter, Registry>);

impl LevelHandle {
    /// Sets a level that [`check_level`] has found good.
    pub fn set(&self, level: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(level).map_err(|error| error.to_string())?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}

/// Tells what is wrong with a level.
pub fn check_level(level: &str) -> Result<(), String> {
    let first = level.split(',').next().unwrap_or_default().trim();
    let known = ["off", "error", "warn", "info", "debug", "trace"];
    if !first.contains('=') && !known.contains(&first.to_ascii_lowercase().as_str()) {
        return Err(format!("must begin with one of {}, not {first:?}", known.join(", ")));
    }
    EnvFilter::try_new(level).map(|_| ()).map_err(|error| format!("is no list of levels: {error}"))
}

/// Starts logging. Once a process: a second call changes nothing and answers `None`.
pub fn start(log: &Log) -> Option<LevelHandle> {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let is_text = match log.format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(Escaped).with_ansi(false);
    let most = log.max_similar_per_minute;
    let started = if is_text {
        registry.with(Similar::new(lines, most)).try_init()
    } else {
        let lines = lines.json().flatten_event(true).with_current_span(false);
        registry.with(Similar::new(lines, most)).try_init()
    };
    started.ok().map(|()| LevelHandle(handle))
}

/// From now on a panic is a log line like any other, wherever it is caught.
pub fn panics() {
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(
            panic = text,
            place,
            thread = thread.name().unwrap_or_default(),
            "a mistake in the program"
        );
    }));
}

/// Makes writers to standard error that escape control characters.
#[derive(Clone, Copy, Debug)]
struct Escaped;

impl<'w> MakeWriter<'w> for Escaped {
    type Writer = EscapedLine;

    fn make_writer(&'w self) -> Self::Writer {
        EscapedLine
    }
}

/// Writes one line a call, as the formatting layer does it.
#[derive(Debug)]
struct EscapedLine;

impl Write for EscapedLine {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        std::io::stderr().lock().write_all(&escape(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Escapes everything below the space and DEL, save for the line's end, and the C1 controls.
fn escape(line: &[u8]) -> Vec<u8> {
    let (body, end) = match line.split_last() {
        Some((b'\n', body)) => (body, true),
        _ => (line, false),
    };
    let text = String::from_utf8_lossy(body);
    let mut escaped = String::with_capacity(line.len() + 1);
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    if end {
        escaped.push('\n');
    }
    escaped.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_line_and_a_moved_cursor_stay_text() {
        assert_eq!(escape(b"user=a\nINFO forged\x1b[2J\x7f\n"), b"user=a\\nINFO forged\\u{1b}[2J\\u{7f}\n");
        assert_eq!(escape("\u{9b}2J ü\n".as_bytes()), "\\u{9b}2J ü\n".as_bytes());
    }

    #[test]
    fn levels_are_checked_before_they_are_used() {
        assert_eq!(check_level("info"), Ok(()));
        assert_eq!(check_level("warn,sabir_engine=debug"), Ok(()));
        assert!(check_level("loud").unwrap_err().contains("must begin with one of off, error"));
    }
}
