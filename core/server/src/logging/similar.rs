// SPDX-License-Identifier: Apache-2.0
//! Keeps what outsiders can provoke at will from flooding the log: of lines that say the same about different things, only
//! so many pass a minute. How many did not is told as soon as anything is logged after that minute.
//!
//! Lines of debug and trace level always pass: whoever asks for them wants them all.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

const WINDOW: Duration = Duration::from_secs(60);
/// Kinds of line that are counted apart; those beyond count as one.
const MAX_KINDS: usize = 256;
/// Longest part of a message that tells kinds apart, in bytes.
const MAX_KIND_BYTES: usize = 128;

/// A layer that hands on what is not too much.
#[derive(Debug)]
pub struct Similar<L> {
    inner: L,
    limit: Limit,
}

impl<L> Similar<L> {
    /// Hands on `per_minute` lines of a kind, 0: all.
    pub fn new(inner: L, per_minute: u64) -> Self {
        Similar { inner, limit: Limit { per_minute, windows: Mutex::default() } }
    }
}

impl<S, L> Layer<S> for Similar<L>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    L: Layer<S>,
{
    fn on_layer(&mut self, subscriber: &mut S) {
        self.inner.on_layer(subscriber);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.inner.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.inner.on_record(id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.inner.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.inner.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.inner.on_close(id, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if self.limit.per_minute == 0 || *event.metadata().level() > Level::INFO {
            return self.inner.on_event(event, context);
        }
        let kind = Kind::of(event);
        let (passes, over) = self.limit.pass(kind, Instant::now());
        for (kind, suppressed) in over {
            // Comes back in here as a line of its own.
            tracing::warn!(
                suppressed,
                like = kind,
                "similar lines were not logged (log.max_similar_per_minute)"
            );
        }
        if passes {
            self.inner.on_event(event, context);
        }
    }
}

/// What is the same in similar lines: who says it, and the words.
#[derive(Default)]
struct Kind(String);

impl Kind {
    fn of(event: &Event<'_>) -> String {
        let mut kind = Kind(event.metadata().target().to_owned());
        event.record(&mut kind);
        kind.0
    }

    fn add(&mut self, field: &Field, text: &str) {
        if matches!(field.name(), "message" | "plugin") {
            let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= MAX_KIND_BYTES);
            self.0.push_str(": ");
            self.0.push_str(text.get(..end.unwrap_or(text.len())).unwrap_or_default());
        }
    }
}

impl Visit for Kind {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if matches!(field.name(), "message" | "plugin") {
            self.add(field, &format!("{value:?}"));
        }
    }
}

#[derive(Debug)]
struct Limit {
    per_minute: u64,
    windows: Mutex<HashMap<String, Window>>,
}

/// A minute of one kind.
#[derive(Debug)]
struct Window {
    until: Instant,
    count: u64,
}

impl Limit {
    /// Whether a line of this kind may pass, and which minutes are over of which something did not.
    fn pass(&self, kind: String, now: Instant) -> (bool, Vec<(String, u64)>) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut over = Vec::new();
        windows.retain(|kind, window| {
            if now < window.until {
                return true;
            }
            if window.count > self.per_minute {
                over.push((kind.clone(), window.count - self.per_minute));
            }
            false
        });
        let is_new = !windows.contains_key(&kind);
        let kind = if is_new && windows.len() >= MAX_KINDS { "others".to_owned() } else { kind };
        let window = windows.entry(kind).or_insert(Window { until: now + WINDOW, count: 0 });
        window.count += 1;
        (window.count <= self.per_minute, over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tracing_subscriber::layer::SubscriberExt;

    fn limit(per_minute: u64) -> Limit {
        Limit { per_minute, windows: Mutex::default() }
    }

    #[test]
    fn a_flood_of_one_kind_is_cut_and_counted_and_other_kinds_pass() {
        let (limit, start) = (limit(3), Instant::now());
        let passed = (0..100).filter(|_| limit.pass("bad frame".to_owned(), start).0).count();
        assert_eq!(passed, 3);
        assert_eq!(limit.pass("disk full".to_owned(), start), (true, Vec::new()));
        let later = start + WINDOW;
        assert_eq!(limit.pass("disk full".to_owned(), later), (true, vec![("bad frame".to_owned(), 97)]));
        assert_eq!(limit.pass("bad frame".to_owned(), later), (true, Vec::new()));
    }

    #[test]
    fn kinds_without_end_share_one_limit() {
        let (limit, start) = (limit(3), Instant::now());
        let passed = (0..10_000).filter(|n| limit.pass(format!("kind {n}"), start).0).count();
        assert_eq!(passed, MAX_KINDS + 3);
        assert_eq!(limit.windows.lock().unwrap().len(), MAX_KINDS + 1);
    }

    struct Counting(Arc<AtomicU64>);

    impl<S: Subscriber> Layer<S> for Counting {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn lines_that_differ_in_their_details_alone_are_similar_and_debug_lines_always_pass() {
        let count = Arc::new(AtomicU64::new(0));
        let layer = Similar::new(Counting(count.clone()), 2);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for n in 0..10 {
                tracing::info!(plugin = "stomp", n, "{}", "the frame is wrong");
                tracing::info!(plugin = "amqp", n, "{}", "the frame is wrong");
                tracing::debug!(n, "a session has ended");
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 2 + 2 + 10);
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_layer_within_is_told_of_spans_which_it_needs_for_its_lines() {
        let lines = Lines::default();
        let writer = lines.clone();
        let json = tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).json();
        let layer = Similar::new(json, 5);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _inside = tracing::info_span!("recovery", logs = 7).entered();
            tracing::info!("half way");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("half way") && text.contains("\"logs\":7"), "{text}");
    }
}
