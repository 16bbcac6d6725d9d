// SPDX-License-Identifier: Apache-2.0
//! A client comes, and leaves.

use super::asked::{Asked, Kept};
use super::consume::Last;
use super::problem::{Exception, Problem, class};
use super::{Core, Phase, Step};
use crate::codec::{
    Command, ConnectionControl, ConnectionInfo, Destination, Message, ObjectId, RemoveInfo, Response,
    SessionId, SessionInfo,
};
use sabir_model::destination::Destination as ModelDestination;
use sabir_model::verb::{Connect, Query};
use sabir_sdk::protocol::{Out, VerbMeta};

/// Who may read this topic, on which nothing is ever told, may send messages in the names of others, as bridges do.
const BRIDGE_RIGHT: &str = "$sabir.bridge";

impl Core {
    /// A connection begins.
    pub fn on_connection_info(&mut self, info: &ConnectionInfo, out: &mut Out<'_>) -> Result<Step, Problem> {
        let id = info
            .connection_id
            .as_ref()
            .filter(|id| !id.value.is_empty())
            .ok_or_else(|| Exception::new(class::JMS, "ConnectionInfo has no connectionId").fatal())?;
        if self.phase != Phase::Negotiated {
            // Until its log-in was answered there is nothing to confirm.
            let known = self.connection.as_ref() == Some(id) && self.phase == Phase::Connected;
            return match known {
                // It is sent again by who does not know whether it has arrived.
                true => Ok(self.respond_to(info.command_id, info.response_required)),
                false => Err(Problem::unsupported("this link carries a connection already")),
            };
        }
        let version = self.agreed_version();
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let client_id = text(&info.client_id).filter(|id| !id.is_empty());
        let connect = Connect {
            user: text(&info.user_name),
            password: info.password.as_deref().map(|password| password.as_bytes().to_vec()),
            // Without one there is nothing to be had alone, or to be taken over.
            exclusive_client_id: client_id.is_some(),
            take_over: info.failover_reconnect && client_id.is_some(),
            client_id,
            virtual_host: None,
            protocol: format!("openwire/{version}"),
        };
        let meta = VerbMeta { token: self.asked.next_token(), confirm: true, ..VerbMeta::default() };
        out.connect(meta, &connect);
        // Who gives no name is nobody to be believed, unless nobody has to give one.
        let asks = self.shared.settings.populate_user_id && (self.is_bridge || connect.user.is_none());
        let right = ModelDestination::topic(BRIDGE_RIGHT).ok().filter(|_| asks);
        if let Some(right) = &right {
            let token = self.asked.token_after_next();
            out.query(VerbMeta { token, confirm: true, ..VerbMeta::default() }, &Query::List(right.clone()));
        }
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.asked.keep(Kept::Connect {
            respond: info.response_required.then_some(info.command_id),
            manageable: info.manageable,
        });
        if right.is_some() {
            self.asked.keep(Kept::SpeaksForOthers);
        }
        self.connection = Some(id.clone());
        self.client_id = connect.client_id.map(Into::into);
        if self.shared.settings.populate_user_id {
            self.user = connect.user.map(Into::into);
        }
        self.phase = Phase::Connecting(self.shared.settings.login_pipeline_bytes);
        Ok(Step::Done)
    }

    /// Writes into a message who has sent it, whatever it says itself: it is the broker that tells. Only a bridge that may
    /// speak for others is believed.
    pub fn name_sender(&self, message: &mut Message) {
        let believed = self.speaks_for_others && message.user_id.is_some();
        if self.shared.settings.populate_user_id && !believed && message.user_id != self.user {
            message.user_id = self.user.clone();
        }
    }

    /// The log-in was refused: the client may try again, and is as much a stranger as before.
    pub fn not_connected(&mut self) {
        if matches!(self.phase, Phase::Connecting(_)) {
            self.phase = Phase::Negotiated;
            self.connection = None;
            self.client_id = None;
            self.user = None;
            self.forget();
        }
    }

    /// The log-in was answered.
    pub fn connected(&mut self, respond: Option<i32>, manageable: bool) {
        if matches!(self.phase, Phase::Connecting(_)) {
            self.phase = Phase::Connected;
        }
        self.respond(respond);
        if manageable {
            let told = self.shared.settings.update_cluster_clients;
            self.output.push(ConnectionControl {
                connected_brokers: Some(if told { self.url.clone() } else { Box::default() }),
                reconnect_to: Some(Box::default()),
                ..ConnectionControl::default()
            });
        }
        if self.phase == Phase::Connected {
            self.begin_bridge();
        }
    }

    /// A session begins.
    pub fn on_session_info(&mut self, info: &SessionInfo, _out: &mut Out<'_>) -> Result<Step, Problem> {
        let id = info.session_id.as_ref().ok_or_else(|| Problem::missing("SessionInfo", "sessionId"))?;
        self.check_connection(&id.connection_id)?;
        let max = self.shared.settings.max_sessions;
        if !self.sessions.contains(&id.value) && self.sessions.len() >= max {
            return Err(Problem::limit("max_sessions", max));
        }
        self.sessions.insert(id.value);
        Ok(self.respond_to(info.command_id, info.response_required))
    }

    /// Whether something belongs to this link's connection.
    pub fn check_connection(&self, connection_id: &str) -> Result<(), Problem> {
        match self.connection.as_ref().is_some_and(|id| *id.value == *connection_id) {
            true => Ok(()),
            false => Err(Problem::state("it belongs to a connection that this link does not carry")),
        }
    }

    /// Whether a destination is short enough to be kept. The names in it have a limit of their own.
    pub fn check_length(&self, destination: &Destination) -> Result<(), Problem> {
        let max = self.shared.settings.max_destination_bytes;
        match destination.physical_name.len() <= max {
            true => Ok(()),
            false => Err(Problem::limit("max_destination_bytes", max)),
        }
    }

    /// Whether a session has begun. The session -1 is the client's own and needs no beginning.
    pub fn check_session(&self, connection_id: &str, session: i64) -> Result<(), Problem> {
        self.check_connection(connection_id)?;
        match session == -1 || self.sessions.contains(&session) {
            true => Ok(()),
            false => Err(Problem::state("it belongs to a session that has not begun, or has ended")),
        }
    }

    /// A connection, session, consumer or producer ends.
    pub fn on_remove_info(&mut self, info: &RemoveInfo, out: &mut Out<'_>) -> Result<Step, Problem> {
        let last = info.last_delivered_sequence_id;
        match &info.object_id {
            Some(ObjectId::Consumer(id)) => {
                let Some(number) = self.consumers.number_of(id) else {
                    return Ok(self.respond_to(info.command_id, info.response_required));
                };
                let respond = info.response_required;
                Ok(self.end_consumer_for(number, Last::of(last, false), info.command_id, respond, out))
            }
            Some(ObjectId::Producer(id)) => match self.end_producer(id, out) {
                Step::Done => Ok(self.respond_to(info.command_id, info.response_required)),
                other => Ok(other),
            },
            Some(ObjectId::Session(id)) => self.end_session(id, info, out),
            Some(ObjectId::Connection(id)) => {
                self.check_connection(&id.value)?;
                Ok(self.leave(info.response_required.then_some(info.command_id), last, out))
            }
            Some(_) => {
                Err(Problem::unsupported("RemoveInfo is for connections, sessions, consumers, producers"))
            }
            None => Err(Problem::missing("RemoveInfo", "objectId")),
        }
    }

    /// Ends what a session has, one thing at a time, and then the session.
    fn end_session(&mut self, id: &SessionId, info: &RemoveInfo, out: &mut Out<'_>) -> Result<Step, Problem> {
        self.check_connection(&id.connection_id)?;
        if let Some(number) = self.consumers.any_of_session(id.value) {
            let meta = VerbMeta { token: Asked::ignored(), ..VerbMeta::default() };
            let last = Last::of(info.last_delivered_sequence_id, true);
            return Ok(self.end_consumer(number, last, meta, out).and_again());
        }
        if let Some(producer) = self.producers.any_of_session(id.value) {
            return Ok(self.end_producer(&producer, out).and_again());
        }
        self.sessions.remove(&id.value);
        Ok(self.respond_to(info.command_id, info.response_required))
    }

    /// The client leaves, in order: what it had in hands goes back, and nothing more may come.
    fn leave(&mut self, respond: Option<i32>, last: i64, out: &mut Out<'_>) -> Step {
        if let Some(number) = self.consumers.any() {
            let meta = VerbMeta { token: Asked::ignored(), ..VerbMeta::default() };
            return self.end_consumer(number, Last::of(last, true), meta, out).and_again();
        }
        let meta = VerbMeta { token: self.asked.next_token(), confirm: true, ..VerbMeta::default() };
        out.disconnect(meta);
        if out.overflowed() {
            return Step::Full;
        }
        self.asked.keep(Kept::Disconnect { respond });
        self.phase = Phase::Leaving;
        self.forget();
        Step::Done
    }

    /// The client has left. The link stays until it says that it closes it.
    pub fn left(&mut self, respond: Option<i32>) {
        self.respond(respond);
        self.phase = Phase::Left;
        self.timers.has_left();
    }

    /// The client is about to close the link.
    pub fn on_shutdown(&mut self, out: &mut Out<'_>) -> Result<Step, Problem> {
        if self.is_logged_in() && !matches!(self.phase, Phase::Leaving | Phase::Left) {
            let meta = VerbMeta { token: Asked::ignored(), ..VerbMeta::default() };
            out.disconnect(meta);
            if out.overflowed() {
                return Ok(Step::Full);
            }
        }
        self.close(out);
        Ok(Step::Done)
    }

    /// Responds to a command that was carried out at once, if it wants a response.
    pub fn respond_to(&mut self, command_id: i32, respond: bool) -> Step {
        self.respond(respond.then_some(command_id));
        Step::Done
    }

    /// Responds to the command with this number.
    pub fn respond(&mut self, command_id: Option<i32>) {
        if let Some(correlation_id) = command_id {
            self.output.push(Command::Response(Response { correlation_id, ..Response::default() }));
        }
    }
}
