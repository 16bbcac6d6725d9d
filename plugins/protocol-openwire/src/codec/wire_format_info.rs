// SPDX-License-Identifier: Apache-2.0
//! The first frame of each side: which version it speaks and what it would like.
//!
//! Always written loose, uncached and with its length, whatever has been agreed since.

use super::cursor::Cursor;
use super::error::{Error, Place};
use super::map::{self, Limits, Map, Value};
use super::options::NEWEST_VERSION;

/// What follows the type of the first frame.
const MAGIC: &[u8; 8] = b"ActiveMQ";

const PROPERTIES: &Place = &Place { command: "WireFormatInfo", field: "marshalledProperties" };
const VERSION: &Place = &Place { command: "WireFormatInfo", field: "version" };

/// Peers send about a dozen short options; nothing here may become a way to take memory before anybody has logged in.
const LIMITS: Limits = Limits { entries: 64, value_bytes: 512, depth: 0, budget_bytes: 64 * 1024 };

/// Type 1: what a peer speaks. Options that are missing have the value that Java's `getX` gives for them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WireFormatInfo {
    /// The newest version that the sender speaks.
    pub version: i32,
    /// The options by their names on the wire, in their order.
    pub properties: Option<Map>,
}

impl WireFormatInfo {
    /// What a Java client or broker says unless it is configured otherwise, without names.
    pub fn preferred() -> WireFormatInfo {
        let mut info = WireFormatInfo { version: NEWEST_VERSION.into(), properties: Some(Map::new()) };
        info.set("TcpNoDelayEnabled", Value::Boolean(true));
        info.set("SizePrefixDisabled", Value::Boolean(false));
        info.set("CacheSize", Value::Int(1024));
        info.set("StackTraceEnabled", Value::Boolean(true));
        info.set("CacheEnabled", Value::Boolean(true));
        info.set("TightEncodingEnabled", Value::Boolean(true));
        info.set("MaxFrameSize", Value::Long(i64::MAX));
        info.set("MaxInactivityDuration", Value::Long(30_000));
        info.set("MaxInactivityDurationInitalDelay", Value::Long(10_000));
        info
    }

    /// Gives an option a value.
    pub fn set(&mut self, name: &str, value: Value) {
        let properties = self.properties.get_or_insert_default();
        match properties.iter_mut().rfind(|(existing, _)| **existing == *name) {
            Some((_, existing)) => *existing = value,
            None => properties.push((name.into(), value)),
        }
    }

    /// An option by its name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.properties.as_ref()?.iter().rfind(|(existing, _)| **existing == *name).map(|(_, value)| value)
    }

    fn boolean(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Boolean(true)))
    }

    fn number(&self, name: &str) -> i64 {
        match self.get(name) {
            Some(Value::Long(value)) => *value,
            Some(Value::Int(value)) => (*value).into(),
            _ => 0,
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether the sender likes the tight encoding.
    pub fn tight_encoding_enabled(&self) -> bool {
        self.boolean("TightEncodingEnabled")
    }

    /// Whether the sender would do without the length in front of each frame.
    pub fn size_prefix_disabled(&self) -> bool {
        self.boolean("SizePrefixDisabled")
    }

    /// Whether the sender uses the cache.
    pub fn cache_enabled(&self) -> bool {
        self.boolean("CacheEnabled")
    }

    /// How many entries the sender's cache has; 0: open.
    pub fn cache_size(&self) -> i64 {
        self.number("CacheSize")
    }

    /// Whether the sender wants stacks and causes with throwables.
    pub fn stack_trace_enabled(&self) -> bool {
        self.boolean("StackTraceEnabled")
    }

    /// Whether the sender sends small packets at once.
    pub fn tcp_no_delay_enabled(&self) -> bool {
        self.boolean("TcpNoDelayEnabled")
    }

    /// The longest frame that the sender takes; 0 and less: open.
    pub fn max_frame_size(&self) -> i64 {
        self.number("MaxFrameSize")
    }

    /// After how much silence the sender gives the connection up; 0 and less: never.
    pub fn max_inactivity_duration_ms(&self) -> i64 {
        self.number("MaxInactivityDuration")
    }

    /// When the sender begins to watch for silence. The name on the wire is misspelt.
    pub fn max_inactivity_duration_initial_delay_ms(&self) -> i64 {
        self.number("MaxInactivityDurationInitalDelay")
    }

    /// Who the sender is.
    pub fn provider_name(&self) -> Option<&str> {
        self.text("ProviderName")
    }

    /// Which version of it.
    pub fn provider_version(&self) -> Option<&str> {
        self.text("ProviderVersion")
    }

    /// What it runs on.
    pub fn platform_details(&self) -> Option<&str> {
        self.text("PlatformDetails")
    }

    /// The name by which the client called the broker.
    pub fn host(&self) -> Option<&str> {
        self.text("Host")
    }

    /// Reads what follows the type.
    pub(super) fn read(body: &[u8]) -> Result<WireFormatInfo, Error> {
        let mut cursor = Cursor::new(body, VERSION);
        // A peer that speaks something else is told so even if it said less than a magic.
        let magic = cursor.take(body.len().min(MAGIC.len()))?;
        if !MAGIC.starts_with(magic) {
            return Err(Error::BadMagic);
        }
        cursor.take(MAGIC.len() - magic.len())?;
        let version = cursor.i32()?;
        cursor.what = PROPERTIES;
        let properties = match cursor.u8()? {
            0 => None,
            _ => {
                let length = cursor.length_i32()?;
                map::read(cursor.take(length)?, LIMITS)?
            }
        };
        match cursor.remaining() {
            0 => Ok(WireFormatInfo { version, properties }),
            bytes => Err(Error::Trailing { what: PROPERTIES, bytes }),
        }
    }

    /// Appends what follows the type.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.version.to_be_bytes());
        out.push(u8::from(self.properties.is_some()));
        let Some(properties) = &self.properties else { return Ok(()) };
        let length_at = out.len();
        out.extend_from_slice(&[0; 4]);
        map::write(Some(properties), out)?;
        let size = out.len() - length_at - 4;
        let too_large = Error::TooLarge { what: PROPERTIES, size: size as u64, limit: i32::MAX as u64 };
        let length = i32::try_from(size).map_err(|_| too_large)?.to_be_bytes();
        if let Some(place) = out.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length);
        }
        Ok(())
    }
}
