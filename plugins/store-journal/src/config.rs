// SPDX-License-Identifier: Apache-2.0
//! The settings of a journal.

use sabir_sdk::{Error, ErrorCode, Result};
use serde::Deserialize;

/// JSON Schema of the settings.
pub const SCHEMA: &str = include_str!("config.schema.json");

/// When a batch counts as durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncPolicy {
    /// When the medium has it: a crash of the machine loses nothing that was reported.
    #[default]
    Always,
    /// When the operating system has it; the medium gets it at every interval. A crash of the machine may lose what
    /// came since.
    Periodic,
    /// When the operating system has it. A crash of the machine may lose everything since the last checkpoint.
    Never,
}

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The directory. It is made if it is missing.
    pub path: String,
    /// When a batch counts as durable.
    pub sync: SyncPolicy,
    /// With `periodic`: the interval in milliseconds.
    pub sync_interval_ms: u64,
    /// Size of a data file in bytes. Larger records get a larger file of their own.
    pub file_bytes: u64,
    /// Size in bytes of the first data file after a start: small, so that the start is quick. Each following one is
    /// four times as large, up to `file_bytes`.
    pub first_file_bytes: u64,
    /// Batches are written when so many bytes wait, synced or not.
    pub write_buffer_bytes: u64,
    /// Batches from this size on are written from where they lie, without a copy.
    pub direct_bytes: u64,
    /// A checkpoint is made after so many bytes of log: what a start after a crash has to read.
    pub checkpoint_bytes: u64,
    /// A checkpoint is made after so many milliseconds in which something was written.
    pub checkpoint_interval_ms: u64,
    /// Size of each of two files that only removals and checkpoints may use, so that a full disk can be emptied.
    pub reserve_bytes: u64,
    /// Emptied files that are kept to be used again.
    pub spare_files: usize,
    /// A file of which less than so many percent live can be emptied by moving its entries; 0: entries are not moved.
    pub move_below_percent: u64,
    /// So many bytes per second are moved at the most, unless room is short.
    pub move_bytes_per_second: u64,
    /// Whether entries are moved although there is no need: only for tests.
    #[serde(skip)]
    pub move_always: bool,
    /// Whether a thread of its own prepares files and makes checkpoints. Without, `sync` does it: only for tests
    /// that need every operation in its place.
    #[serde(skip)]
    pub background: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            path: String::new(),
            sync: SyncPolicy::Always,
            sync_interval_ms: 1000,
            file_bytes: 64 << 20,
            first_file_bytes: 1 << 20,
            write_buffer_bytes: 1 << 20,
            direct_bytes: 256 << 10,
            checkpoint_bytes: 64 << 20,
            checkpoint_interval_ms: 60_000,
            reserve_bytes: 1 << 20,
            spare_files: 2,
            move_below_percent: 60,
            move_bytes_per_second: 64 << 20,
            move_always: false,
            background: true,
        }
    }
}

// Name, value, smallest, largest.
type Bound = (&'static str, u64, u64, u64);

impl Options {
    /// Reads the settings from a JSON object.
    ///
    /// # Errors
    /// [`ErrorCode::Config`], naming the key.
    pub fn parse(json: &str) -> Result<Self> {
        let text = if json.trim().is_empty() { "{}" } else { json };
        let options: Options = serde_json::from_str(text).map_err(|error| {
            Error::new(ErrorCode::Config, format!("the journal's configuration: {error}"))
        })?;
        options.check()?;
        Ok(options)
    }

    fn bounds(&self) -> [Bound; 11] {
        const GIB: u64 = 1 << 30;
        [
            ("sync_interval_ms", self.sync_interval_ms, 1, 3_600_000),
            ("file_bytes", self.file_bytes, 64 << 10, GIB),
            ("first_file_bytes", self.first_file_bytes, 64 << 10, GIB),
            ("write_buffer_bytes", self.write_buffer_bytes, 4 << 10, GIB),
            ("direct_bytes", self.direct_bytes, 4 << 10, GIB),
            ("checkpoint_bytes", self.checkpoint_bytes, 4 << 10, 1 << 40),
            ("checkpoint_interval_ms", self.checkpoint_interval_ms, 10, 86_400_000),
            ("reserve_bytes", self.reserve_bytes, 4 << 10, GIB),
            ("spare_files", self.spare_files as u64, 0, 1000),
            ("move_below_percent", self.move_below_percent, 0, 90),
            ("move_bytes_per_second", self.move_bytes_per_second, 64 << 10, 1 << 40),
        ]
    }

    fn check(&self) -> Result<()> {
        let refuse = |text: String| Err(Error::new(ErrorCode::Config, text));
        if self.path.is_empty() {
            return refuse("path: the journal's directory is missing".to_owned());
        }
        for (name, value, min, max) in self.bounds() {
            if !(min..=max).contains(&value) {
                return refuse(format!("{name}: {value} was given, {min} to {max} is expected"));
            }
        }
        if self.first_file_bytes > self.file_bytes {
            return refuse("first_file_bytes: it is larger than file_bytes".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_do_not_fit_are_refused_by_name() {
        for (json, part) in [
            ("{}", "path"),
            (r#"{"path":"x","sink":"always"}"#, "sink"),
            (r#"{"path":"x","sync":"sometimes"}"#, "sometimes"),
            (r#"{"path":"x","file_bytes":1}"#, "file_bytes"),
            (r#"{"path":"x","file_bytes":65536}"#, "first_file_bytes"),
            (r#"{"path":"x","reserve_bytes":100}"#, "reserve_bytes"),
            ("[1]", "configuration"),
        ] {
            let error = Options::parse(json).unwrap_err();
            assert_eq!(error.code, ErrorCode::Config, "{json}");
            assert!(error.message.contains(part), "{json}: {}", error.message);
        }
    }

    #[test]
    fn the_schema_names_every_setting_with_its_default() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let known = schema["properties"].as_object().unwrap();
        let defaults = Options::default();
        for (name, value, min, max) in defaults.bounds() {
            let row = &known[name];
            assert_eq!(
                (row["default"].as_u64(), row["minimum"].as_u64()),
                (Some(value), Some(min)),
                "{name}"
            );
            assert_eq!(row["maximum"].as_u64(), Some(max), "{name}");
        }
        assert_eq!(known.len(), defaults.bounds().len() + 2);
    }

    #[test]
    fn a_path_is_enough() {
        let options = Options::parse(r#"{"path":"x"}"#).unwrap();
        assert_eq!(options, Options { path: "x".to_owned(), ..Options::default() });
    }
}
