// SPDX-License-Identifier: Apache-2.0
//! The first frames: what each side speaks, what follows from that, and who the broker is.

use super::problem::{Exception, Problem, class};
use super::{Core, Phase, Step};
use crate::codec::map::Value;
use crate::codec::{BrokerId, BrokerInfo, Command, Options, WireFormatInfo};
use std::sync::Arc;

impl Core {
    /// What this end speaks.
    fn our_wire_format(&self) -> WireFormatInfo {
        let settings = &self.shared.settings;
        let mut info = WireFormatInfo::preferred();
        let (name, version) = self.broker.split_once('/').unwrap_or((&self.broker, ""));
        info.set("TightEncodingEnabled", Value::Boolean(settings.tight_encoding));
        info.set("CacheEnabled", Value::Boolean(settings.cache_entries > 0));
        // No stacks: they say nothing to a peer, and a cause is part of the text.
        info.set("StackTraceEnabled", Value::Boolean(false));
        info.set("CacheSize", Value::Int(i32::try_from(settings.cache_entries.max(1)).unwrap_or(i32::MAX)));
        info.set("MaxFrameSize", Value::Long(i64::try_from(self.max_frame_bytes()).unwrap_or(i64::MAX)));
        let inactivity_ms = i64::try_from(settings.max_inactivity_ms).unwrap_or(i64::MAX);
        info.set("MaxInactivityDuration", Value::Long(inactivity_ms));
        info.set("ProviderName", Value::Text(name.into()));
        info.set("ProviderVersion", Value::Text(version.into()));
        info
    }

    /// The longest frame that is taken once logged in.
    pub fn max_frame_bytes(&self) -> u64 {
        let largest = self.max_message_bytes.saturating_add(self.max_head_bytes);
        self.shared.settings.max_frame_bytes.min(largest)
    }

    /// Both sides say at once what they speak.
    pub fn greet(&mut self) {
        let info = self.our_wire_format();
        self.output.push(Command::WireFormatInfo(Box::new(info)));
    }

    /// The peer has said what it speaks.
    pub fn on_wire_format(&mut self, theirs: &WireFormatInfo) -> Result<Step, Problem> {
        if self.phase != Phase::Opened {
            return Err(Exception::new(class::IO, "the wire format was agreed before").fatal());
        }
        let ours = self.our_wire_format();
        let options = Options::negotiate(&ours, theirs)?;
        // Not agreed upon: `max_frame` is for what is sent, and what may come is our own affair.
        let settings = &self.shared.settings;
        let inactivity = match (settings.max_inactivity_ms as i64, theirs.max_inactivity_duration_ms()) {
            (ours, theirs) if ours <= 0 || theirs <= 0 => None,
            (ours, theirs) => Some((ours.min(theirs) as u64).max(settings.min_inactivity_ms)),
        };
        self.timers.agreed(inactivity);
        self.agreed = Some(options);
        self.output.agreed(options);
        self.phase = Phase::Negotiated;
        let id = BrokerId { value: self.shared.broker_id.clone() };
        let (name, _) = self.broker.split_once('/').unwrap_or((&self.broker, ""));
        self.output.push(Command::BrokerInfo(Box::new(BrokerInfo {
            broker_id: Some(Arc::new(id)),
            broker_name: Some(name.into()),
            broker_url: Some(self.url.clone()),
            peer_broker_infos: Some(Vec::new()),
            ..BrokerInfo::default()
        })));
        Ok(Step::Done)
    }
}
