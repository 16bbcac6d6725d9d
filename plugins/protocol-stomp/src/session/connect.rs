// SPDX-License-Identifier: Apache-2.0
//! `CONNECT` and `STOMP`: versions, heart-beats, who it is; and the replies, of which the first is the log-in's.

use super::problem::Problem;
use super::receipts::Kind;
use super::{Core, Phase, Step};
use crate::codec::{Command, FrameWriter, Head, HeaderName, HeartBeat, Version};
use sabir_model::verb::{Connect, Reason};
use sabir_sdk::protocol::{Now, Out, ReplyRef, VerbMeta};

impl Core {
    /// The client logs in.
    pub fn on_connect(&mut self, now: Now, head: &Head<'_>, out: &mut Out<'_>) -> Result<Step, Problem> {
        let accepted = head.raw(HeaderName::AcceptVersion);
        let version =
            Version::negotiate(accepted).ok_or_else(|| Problem::version(accepted.unwrap_or_default()))?;
        // 1.0 says nothing of blanks around values, and its clients write them; later versions forbid to trim.
        let value = |name| {
            head.raw(name)
                .map(|value| if version == Version::V1_0 { value.trim_ascii_blanks() } else { value })
        };
        let theirs = self.read_heart_beat(value(HeaderName::HeartBeat))?;
        let connect = Connect {
            user: value(HeaderName::Login).map(str::to_owned),
            password: value(HeaderName::Passcode).map(|passcode| passcode.as_bytes().to_vec()),
            client_id: value(HeaderName::ClientId).filter(|id| !id.is_empty()).map(str::to_owned),
            virtual_host: value(HeaderName::Host)
                .filter(|host| self.settings.host_is_virtual_host && !host.is_empty() && *host != "/")
                .map(str::to_owned),
            protocol: format!("stomp/{version}"),
            exclusive_client_id: false,
            take_over: false,
        };
        let meta = VerbMeta { token: self.receipts.next_token(), confirm: true, ..VerbMeta::default() };
        out.connect(meta, &connect);
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.receipts.push(Kind::Connect, None);
        self.version = version;
        self.has_client_id = connect.client_id.is_some();
        let ours = self.heart_beat();
        let tolerance = self.settings.heartbeat_tolerance_percent;
        self.timers.set_intervals(ours.send_interval_ms(theirs), ours.receive_interval_ms(theirs), tolerance);
        self.timers.has_written(now);
        self.phase = Phase::Connecting(self.settings.login_pipeline_bytes);
        Ok(Step::Done)
    }

    /// What this end promises and wishes.
    fn heart_beat(&self) -> HeartBeat {
        HeartBeat { send_ms: self.settings.heartbeat_min_ms, receive_ms: self.settings.heartbeat_min_ms }
    }

    fn read_heart_beat(&self, value: Option<&str>) -> Result<HeartBeat, Problem> {
        let Some(value) = value else { return Ok(HeartBeat::default()) };
        let beat = HeartBeat::parse(value)
            .map_err(|error| Problem::bad_header(HeaderName::HeartBeat, value, &error.to_string()))?;
        let most = self.settings.heartbeat_max_ms;
        if beat.send_ms > most || beat.receive_ms > most {
            let wanted = format!("within {most} ms (heartbeat_max_ms)");
            return Err(Problem::bad_header(HeaderName::HeartBeat, value, &wanted));
        }
        Ok(beat)
    }

    /// A verb was answered.
    pub fn on_reply(&mut self, now: Now, reply: &ReplyRef<'_>, out: &mut Out<'_>) {
        self.timers.is_called(now);
        if self.phase == Phase::Closed {
            return;
        }
        match reply.status {
            Ok(()) => {
                self.receipts.answered(reply.token);
            }
            Err((Reason::NotFound, false)) if self.producers.may_vanish(reply.token) => {
                // Who asked for this reply is gone: that is no fault of who answers.
                self.producers.vanished(reply.token);
                crate::log::vanished(&self.host, &self.connection_id);
            }
            Err((reason, _)) => {
                let problem = Problem::new(refusal(reason), reply.text.to_owned());
                let receipt = self.receipts.name_of(reply.token).map(<[u8]>::to_vec);
                // Receipts that were answered before, even in the same call, come first.
                self.flush(now, out);
                self.fail(problem.with_raw_receipt(receipt.as_deref()), out);
            }
        }
    }

    /// Whether something waits to be written that may be written now. What was answered before something went wrong
    /// is still written, before the `ERROR` that ends all.
    pub fn is_flush_due(&self) -> bool {
        let ends = self.phase == Phase::Closed && self.failure.is_none();
        !self.sending && !ends && self.receipts.front().is_some()
    }

    /// Writes what waits: receipts whose turn has come, `CONNECTED`, an `ERROR`.
    pub fn flush(&mut self, now: Now, out: &mut Out<'_>) {
        self.timers.is_called(now);
        while self.is_flush_due() {
            let mark = out.mark();
            let Some(kind) = self.write_front(out) else { return };
            if out.overflowed() {
                // The deadline is set to now: the rest is written in the next call.
                out.rollback(mark);
                return;
            }
            self.receipts.pop();
            match kind {
                Kind::Silent => continue,
                Kind::Connect if matches!(self.phase, Phase::Connecting(_)) => {
                    self.phase = Phase::Connected;
                    self.timers.start(now);
                }
                // It has sent DISCONNECT in the same breath.
                Kind::Connect => {}
                Kind::Receipt => {}
                Kind::Disconnect => {
                    self.phase = Phase::Closed;
                    self.failure = None;
                    out.close_link();
                }
            }
            if kind == Kind::Connect && std::mem::take(&mut self.held) {
                // What the client has sent meanwhile had to wait: it is to be offered again.
                out.set_full();
            }
            self.timers.has_written(now);
        }
        if self.failure.is_some() {
            self.flush_failure(out);
        }
    }

    fn write_front(&mut self, out: &mut Out<'_>) -> Option<Kind> {
        let (kind, name) = self.receipts.front()?;
        self.scratch.clear();
        match (kind, name) {
            (Kind::Connect, _) => {
                let beat = self.heart_beat();
                let mut frame =
                    FrameWriter::new(&mut self.scratch, Command::Connected, self.version.escapes())
                        .header("version", self.version.as_str())
                        .header("session", &self.connection_id)
                        .header("server", &self.broker);
                if self.version != Version::V1_0 {
                    frame = frame.header("heart-beat", &format!("{},{}", beat.send_ms, beat.receive_ms));
                }
                frame.body(b"");
            }
            (_, Some(name)) => {
                FrameWriter::new(&mut self.scratch, Command::Receipt, self.version.escapes())
                    .raw("receipt-id", name)
                    .body(b"");
            }
            (_, None) => {}
        }
        out.write(&self.scratch);
        Some(kind)
    }
}

/// What a refusal is called in `ERROR`'s header `message`.
fn refusal(reason: Reason) -> &'static str {
    match reason {
        Reason::Invalid => "the request cannot be carried out",
        Reason::Unauthenticated => "wrong user name or password",
        Reason::Forbidden => "the user may not do that",
        Reason::NotFound => "there is no such thing",
        Reason::Conflict => "it exists already, differently",
        Reason::Limit => "a limit of the broker was reached",
        Reason::BadMessage => "the message is damaged or too large",
        Reason::BadSelector => "the selector cannot be read",
        Reason::Store => "the store has failed",
        Reason::RolledBack => "the transaction was rolled back",
        Reason::Stopping => "the broker is stopping",
        Reason::Unsupported => "this broker cannot do that",
        Reason::Full => "the destination is full",
    }
}

trait TrimBlanks {
    fn trim_ascii_blanks(&self) -> &str;
}

impl TrimBlanks for str {
    fn trim_ascii_blanks(&self) -> &str {
        self.trim_matches([' ', '\t'])
    }
}
