// SPDX-License-Identifier: Apache-2.0
//! The other half of a duplex bridge: on the link that another broker has opened to forward to us, we forward to it.
//!
//! ```text
//!   their BrokerInfo (duplex), log-in        we are the bridge's other half
//!   our ConnectionInfo, SessionInfo,         what they are told by: we listen to their advisories of consumers and of
//!       ConsumerInfo                         temporary destinations
//!   their messages on advisory topics        somebody there consumes, or does no longer: we subscribe here for them, once
//!                                            for all who want the same
//!   our messages, each with a number         what these subscriptions deliver
//!   their Response to that number            it is settled here
//! ```
//! Everything is done with the rights of the user that the bridge has logged in as. What is not answered when the link
//! breaks goes back to its queue.
//!
//! A message that has been at the other broker before is not sent there again. It is held for a moment and goes back,
//! so that others here get it.

mod wants;

use super::asked::{Asked, Kept};
use super::consume::Last;
use super::destination::{self, Use, kind_of, split_kind};
use super::problem::{Exception, Problem, class, printable};
use super::{Core, Phase, Step, advisory};
use crate::codec::{
    BrokerId, BrokerInfo, Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo, DataStructure,
    Destination, DestinationInfo, DestinationKind, Message, MessageAck, ObjectId, RemoveInfo,
    RemoveSubscriptionInfo, SessionId, SessionInfo, Throwable,
};
use crate::plugin::Shared;
use sabir_model::destination::Destination as ModelDestination;
use sabir_model::pattern::Pattern;
use sabir_model::verb::{Delete, Outcome, Settle, SettleRange};
use sabir_sdk::protocol::{Out, VerbMeta};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use wants::Wants;

/// How long a message that may not be sent is held before it goes back.
const HELD_MS: u64 = 1000;
/// The session in which our half has its consumers, which no client's can be.
const SESSION: i64 = -2;
/// How a durable subscription that stands for those of another broker begins, as in ActiveMQ.
const DURABLE: &str = "NC-DS_";

/// Our half of a duplex bridge.
pub struct Bridge {
    wants: Wants,
    /// The other broker.
    peer: Arc<BrokerId>,
    us: Arc<BrokerId>,
    /// What we call our connection there.
    connection: Arc<ConnectionId>,
    /// Our consumer of its advisories.
    listener: Arc<ConsumerId>,
    /// Numbers of our commands.
    commands: i32,
    /// Numbers of our consumers here.
    made: i64,
    /// What is forwarded, by the broker's number of the subscription.
    ways: BTreeMap<u64, Way>,
    /// How many consumers and durable subscriptions there are known.
    consumers: usize,
    /// Destinations that are forwarded in any case, and for which nobody has subscribed yet.
    statics: Vec<Arc<Destination>>,
    /// Ways that come to their end once nothing is under way on them.
    ending: Vec<u64>,
    /// Durable subscriptions that are to be deleted.
    forgotten: Vec<String>,
    /// What was sent and not answered, by the number of the command.
    sent: HashMap<i32, Sent>,
    /// What may not be sent, and when it goes back.
    held: VecDeque<(u64, Sent)>,
    /// Advisories that were not acknowledged.
    unacknowledged: i32,
    shared: Arc<Shared>,
    /// Under which name `shared` knows that this connection is a bridge's.
    listed: Option<Box<str>>,
}

/// A subscription of ours for consumers there.
struct Way {
    destination: Arc<Destination>,
    pattern: Option<Pattern>,
    consumers: HashSet<Arc<ConsumerId>>,
    /// Client ids and names of durable subscriptions there, which want it while their subscribers are away too.
    durables: HashSet<(Box<str>, Box<str>)>,
    /// Our own durable subscription.
    name: Option<String>,
    is_static: bool,
    under_way: usize,
    ending: bool,
}

impl Way {
    fn is_wanted(&self) -> bool {
        self.is_static || !self.consumers.is_empty() || !self.durables.is_empty()
    }

    fn is_wanted_by(&self, who: &Who<'_>) -> bool {
        match *who {
            Who::Consumer(id) => self.consumers.contains(id),
            Who::Durable(client, name) => self.durables.contains(&(client.into(), name.into())),
            Who::Always => self.is_static,
        }
    }

    /// Somebody more wants it. Answers whether that is somebody who is counted.
    fn add(&mut self, who: &Who<'_>) -> bool {
        match *who {
            Who::Consumer(id) => self.consumers.insert(id.clone()),
            Who::Durable(client, name) => self.durables.insert((client.into(), name.into())),
            Who::Always => {
                self.is_static = true;
                false
            }
        }
    }

    /// Whether it brings what is sent to this destination.
    fn brings(&self, destination: &Destination, model: &ModelDestination) -> bool {
        !self.ending
            && self.destination.kind == destination.kind
            && (self.destination.physical_name == destination.physical_name
                || self.pattern.as_ref().is_some_and(|pattern| pattern.matches(&model.name)))
    }
}

/// A message on its way.
#[derive(Clone, Copy)]
struct Sent {
    number: u64,
    tag: u64,
    hash: u64,
}

/// Who wants what is sent to a destination.
enum Who<'w> {
    Consumer(&'w Arc<ConsumerId>),
    Durable(&'w str, &'w str),
    Always,
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(name) = &self.listed {
            self.shared.bridges().remove(name);
        }
    }
}

impl Bridge {
    fn next_command(&mut self) -> i32 {
        self.commands = self.commands.wrapping_add(1);
        self.commands
    }

    /// Whether something is to be done that waits for nothing but room.
    pub fn go_on(&self) -> bool {
        !self.statics.is_empty() || !self.forgotten.is_empty() || self.next_ended().is_some()
    }

    fn next_ended(&self) -> Option<u64> {
        self.ending.iter().copied().find(|number| self.ways.get(number).is_none_or(|way| way.under_way == 0))
    }

    /// When a message that is held goes back.
    pub fn next_held_ms(&self) -> Option<u64> {
        self.held.front().map(|(due_ms, _)| *due_ms)
    }

    /// A subscription was refused, or has ended by itself.
    pub fn lost(&mut self, number: u64) {
        if let Some(way) = self.ways.remove(&number) {
            self.consumers = self.consumers.saturating_sub(way.consumers.len() + way.durables.len());
        }
        self.ending.retain(|ending| *ending != number);
        self.held.retain(|(_, held)| held.number != number);
        self.sent.retain(|_, sent| sent.number != number);
    }

    /// Makes a message that is delivered one that is sent. `None`: it may not be.
    fn forward(&mut self, number: u64, message: &mut Message) -> Option<i32> {
        let way = self.ways.get(&number)?;
        let path = message.broker_path.get_or_insert_default();
        if way.ending || path.contains(&self.peer) {
            return None;
        }
        path.push(self.us.clone());
        message.command_id = self.next_command();
        message.response_required = true;
        let transaction = message.transaction_id.take();
        message.original_transaction_id = message.original_transaction_id.take().or(transaction);
        Some(message.command_id)
    }
}

impl Core {
    /// Another broker says that it is a bridge, and that it wants us to be its other half.
    pub fn on_duplex(&mut self, info: &BrokerInfo) -> Result<(), Problem> {
        if self.phase != Phase::Negotiated || self.bridge.is_some() {
            return Err(Problem::state("a duplex bridge says so once, before it logs in"));
        }
        let peer = info.broker_id.clone().ok_or_else(|| Problem::missing("BrokerInfo", "brokerId"))?;
        let wants = Wants::read(info);
        let connection: Box<str> = format!("{}-bridge:{}", self.shared.broker_id, self.name).into();
        let listener = ConsumerId { connection_id: connection.clone(), session_id: 1, value: 1 };
        self.bridge = Some(Box::new(Bridge {
            peer,
            us: Arc::new(BrokerId { value: self.shared.broker_id.clone() }),
            connection: Arc::new(ConnectionId { value: connection }),
            listener: Arc::new(listener),
            commands: 0,
            made: 0,
            ways: BTreeMap::new(),
            consumers: 0,
            statics: wants.statics.clone(),
            wants,
            ending: Vec::new(),
            forgotten: Vec::new(),
            sent: HashMap::new(),
            held: VecDeque::new(),
            unacknowledged: 0,
            shared: self.shared.clone(),
            listed: None,
        }));
        Ok(())
    }

    /// The bridge has logged in: we log in to it, and listen to who consumes there.
    pub fn begin_bridge(&mut self) {
        let Some(bridge) = self.bridge.as_deref_mut() else { return };
        self.shared.bridges().insert(self.name.clone(), bridge.peer.clone());
        bridge.listed = Some(self.name.clone());
        let connection_id = Some(bridge.connection.clone());
        let client_id = format!("{}_{}_outbound", bridge.wants.name, bridge.us.value);
        let session = SessionId { connection_id: bridge.connection.value.clone(), value: 1 };
        let commands: [Command; 3] = [
            Command::ConnectionInfo(Box::new(ConnectionInfo {
                connection_id,
                client_id: Some(client_id.into()),
                user_name: bridge.wants.user.clone(),
                password: bridge.wants.password.clone(),
                ..ConnectionInfo::default()
            })),
            Command::SessionInfo(SessionInfo {
                session_id: Some(Arc::new(session)),
                ..SessionInfo::default()
            }),
            Command::ConsumerInfo(Box::new(ConsumerInfo {
                consumer_id: Some(bridge.listener.clone()),
                destination: Some(Arc::new(Destination::new(
                    DestinationKind::Topic,
                    &bridge.wants.advisories,
                ))),
                prefetch_size: bridge.wants.advisory_prefetch,
                dispatch_async: true,
                ..ConsumerInfo::default()
            })),
        ];
        for mut command in commands {
            command.set_command_id(bridge.next_command());
            self.output.push(command);
        }
    }

    /// Does what follows from earlier steps. `false`: there was no room for all of it.
    pub fn go_on_bridging(&mut self, out: &mut Out<'_>) -> bool {
        while let Some(bridge) = self.bridge.as_deref().filter(|_| self.phase == Phase::Connected) {
            let mark = out.mark();
            let step = if let Some(number) = bridge.next_ended() {
                self.end_way(number, out)
            } else if let Some(name) = bridge.forgotten.last().cloned() {
                self.forget_durable(name, out)
            } else if let Some(destination) = bridge.statics.last().cloned() {
                self.begin_static(&destination, out)
            } else {
                return true;
            };
            if step == Step::Full {
                out.rollback(mark);
                return false;
            }
        }
        true
    }

    fn begin_static(&mut self, destination: &Arc<Destination>, out: &mut Out<'_>) -> Step {
        let begun = self.want(destination, &Who::Always, out);
        match begun {
            Ok(Step::Full) => return Step::Full,
            Ok(_) => {}
            Err(problem) => self.note_refused(destination, problem),
        }
        if let Some(bridge) = self.bridge.as_deref_mut() {
            bridge.statics.pop();
        }
        Step::Done
    }

    fn forget_durable(&mut self, name: String, out: &mut Out<'_>) -> Step {
        let delete =
            Delete { destination: None, subscription_name: Some(name), if_empty: false, if_unused: true };
        out.delete(VerbMeta { token: Asked::ignored(), ..VerbMeta::default() }, &delete);
        if out.overflowed() {
            return Step::Full;
        }
        if let Some(bridge) = self.bridge.as_deref_mut() {
            bridge.forgotten.pop();
        }
        Step::Done
    }

    fn end_way(&mut self, number: u64, out: &mut Out<'_>) -> Step {
        let meta = VerbMeta { token: Asked::ignored(), ..VerbMeta::default() };
        let step = self.end_consumer(number, Last::None, meta, out);
        if step == Step::Done
            && let Some(bridge) = self.bridge.as_deref_mut()
        {
            let name = bridge.ways.get_mut(&number).and_then(|way| way.name.take());
            bridge.forgotten.extend(name);
            bridge.lost(number);
        }
        step
    }

    /// A message on an advisory topic: the other broker tells what happens there.
    pub fn on_told(&mut self, message: &Message, out: &mut Out<'_>) -> Result<Step, Problem> {
        let step = match &message.data_structure {
            Some(DataStructure::Command(told)) => match &**told {
                Command::ConsumerInfo(info) => self.on_demand(info, out),
                Command::RemoveInfo(info) => self.on_demand_gone(info, out),
                Command::RemoveSubscriptionInfo(info) => self.on_durable_gone(info, out),
                Command::DestinationInfo(info) => self.on_destination_there(info, out),
                _ => Step::Done,
            },
            _ => Step::Done,
        };
        if step != Step::Done {
            return Ok(step);
        }
        self.acknowledge_told(message);
        Ok(self.respond_to(message.command_id, message.response_required))
    }

    /// Acknowledges advisories, half of what may be under way at a time.
    fn acknowledge_told(&mut self, message: &Message) {
        let Some(bridge) = self.bridge.as_deref_mut() else { return };
        bridge.unacknowledged += 1;
        if bridge.unacknowledged <= bridge.wants.advisory_prefetch / 2 {
            return;
        }
        let mut ack = Command::MessageAck(Box::new(MessageAck {
            destination: message.destination.clone(),
            consumer_id: Some(bridge.listener.clone()),
            ack_type: MessageAck::STANDARD,
            last_message_id: message.message_id.clone(),
            message_count: std::mem::take(&mut bridge.unacknowledged),
            ..MessageAck::default()
        }));
        ack.set_command_id(bridge.next_command());
        self.output.push(ack);
    }

    /// Somebody consumes there.
    fn on_demand(&mut self, info: &ConsumerInfo, out: &mut Out<'_>) -> Step {
        let Some(bridge) = self.bridge.as_deref() else { return Step::Done };
        let (Some(id), Some(all)) = (&info.consumer_id, &info.destination) else { return Step::Done };
        let path = info.broker_path.as_deref().unwrap_or_default();
        let far = bridge.wants.consumer_ttl.is_some_and(|ttl| path.len() >= ttl);
        if info.browser || far || path.contains(&bridge.us) {
            return Step::Done;
        }
        let names = all.physical_name.split('?').next().unwrap_or_default();
        for part in names.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (kind, name) = split_kind(part, all.kind);
            let who = match (&info.subscription_name, &info.client_id) {
                (Some(name), Some(client)) if kind == DestinationKind::Topic => Who::Durable(client, name),
                _ => Who::Consumer(id),
            };
            let destination = Arc::new(Destination::new(kind, name));
            match self.want(&destination, &who, out) {
                Ok(Step::Done) => {}
                Ok(other) => return other,
                Err(problem) => self.note_refused(&destination, problem),
            }
        }
        Step::Done
    }

    /// Forwards what is sent to a destination. `Again`: we have just begun to.
    fn want(
        &mut self,
        destination: &Arc<Destination>,
        who: &Who<'_>,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let mut found = destination::resolve(destination, Use::Receive, 1)?;
        let Some(bridge) = self.bridge.as_deref_mut() else { return Ok(Step::Done) };
        let wanted =
            |model: &ModelDestination| !advisory::is_event(model) && bridge.wants.takes(destination, model);
        let Some(model) = found.pop().filter(wanted) else { return Ok(Step::Done) };
        let way = bridge.ways.values_mut().find(|way| way.brings(destination, &model));
        if let Some(way) = way {
            let max = self.shared.settings.max_consumers;
            if !way.is_wanted_by(who) && bridge.consumers >= max {
                return Err(Problem::limit("max_consumers", max));
            }
            bridge.consumers += usize::from(way.add(who));
            return Ok(Step::Done);
        }
        self.begin_way(destination, model, matches!(who, Who::Durable(..)), out)
    }

    /// Subscribes here for what somebody wants there.
    fn begin_way(
        &mut self,
        destination: &Arc<Destination>,
        model: ModelDestination,
        durable: bool,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let Some(bridge) = self.bridge.as_deref() else { return Ok(Step::Done) };
        let id = ConsumerId {
            connection_id: bridge.connection.value.clone(),
            session_id: SESSION,
            value: bridge.made + 1,
        };
        let name =
            durable.then(|| format!("{DURABLE}{}_{}", bridge.wants.broker_name, destination.physical_name));
        let info = ConsumerInfo {
            consumer_id: Some(Arc::new(id)),
            destination: Some(destination.clone()),
            prefetch_size: bridge.wants.prefetch,
            priority: bridge.wants.priority,
            subscription_name: name.as_deref().map(Into::into),
            no_local: kind_of(destination.kind).is_topic(),
            ..ConsumerInfo::default()
        };
        let Some(number) = self.subscribe_for_bridge(&info, out)? else { return Ok(Step::Full) };
        if let Some(bridge) = self.bridge.as_deref_mut() {
            bridge.made += 1;
            let pattern = destination::has_wildcard(&destination.physical_name)
                .then(|| Pattern::parse(&model.name).ok());
            let way = Way {
                destination: destination.clone(),
                pattern: pattern.flatten(),
                consumers: HashSet::new(),
                durables: HashSet::new(),
                name,
                is_static: false,
                under_way: 0,
                ending: false,
            };
            bridge.ways.insert(number, way);
        }
        Ok(Step::Again)
    }

    /// Somebody there does no longer consume.
    fn on_demand_gone(&mut self, info: &RemoveInfo, out: &mut Out<'_>) -> Step {
        let Some(ObjectId::Consumer(id)) = &info.object_id else { return Step::Done };
        let remove = |way: &mut Way| {
            way.consumers.remove(id);
        };
        self.no_longer(|way| way.consumers.contains(id), remove, out)
    }

    /// A durable subscription was deleted there.
    fn on_durable_gone(&mut self, info: &RemoveSubscriptionInfo, out: &mut Out<'_>) -> Step {
        let (Some(client), Some(name)) = (&info.client_id, &info.subscription_name) else {
            return Step::Done;
        };
        let key = (client.clone(), name.clone());
        let remove = |way: &mut Way| {
            way.durables.remove(&key);
        };
        self.no_longer(|way| way.durables.contains(&key), remove, out)
    }

    /// Takes somebody off a way, which ends when nobody is left: nothing more is to come on it.
    fn no_longer(
        &mut self,
        is_on: impl Fn(&Way) -> bool,
        take_off: impl Fn(&mut Way),
        out: &mut Out<'_>,
    ) -> Step {
        let Some(bridge) = self.bridge.as_deref_mut() else { return Step::Done };
        let found = bridge.ways.iter_mut().find(|(_, way)| is_on(way));
        let Some((number, way)) = found.map(|(number, way)| (*number, way)) else { return Step::Done };
        let others = usize::from(way.is_static) + way.consumers.len() + way.durables.len() - 1;
        if others == 0 && !way.ending {
            let meta = VerbMeta { token: Asked::settled(), id: number, ..VerbMeta::default() };
            out.credit(meta, 0, true);
            if out.overflowed() {
                return Step::Full;
            }
        }
        take_off(way);
        bridge.consumers = bridge.consumers.saturating_sub(1);
        if !way.is_wanted() && !way.ending {
            way.ending = true;
            bridge.ending.push(number);
            self.consumers.stop(number);
        }
        Step::Again
    }

    /// A temporary destination is there, or no longer: answers are sent to it here.
    fn on_destination_there(&mut self, info: &DestinationInfo, out: &mut Out<'_>) -> Step {
        let Some(bridge) = self.bridge.as_deref() else { return Step::Done };
        let Some(destination) = &info.destination else { return Step::Done };
        let path = info.broker_path.as_deref().unwrap_or_default();
        let far = bridge.wants.consumer_ttl.is_some_and(|ttl| path.len() >= ttl);
        if far || path.contains(&bridge.us) || !kind_of(destination.kind).is_temporary() {
            return Step::Done;
        }
        let wanted = ModelDestination::new(kind_of(destination.kind), &destination.physical_name)
            .is_ok_and(|model| bridge.wants.takes(destination, &model));
        if !wanted {
            return Step::Done;
        }
        let mark = out.mark();
        match self.make_destination(info, VerbMeta { token: Asked::ignored(), ..VerbMeta::default() }, out) {
            Ok(step) => step,
            Err(problem) => {
                out.rollback(mark);
                self.note_refused(destination, problem);
                Step::Done
            }
        }
    }

    /// The other broker is not told why we do not forward something: it would end the bridge.
    fn note_refused(&self, destination: &Destination, problem: Problem) {
        let (Problem::Refused(exception) | Problem::Fatal(exception)) = problem;
        let what = "what is wanted over a bridge cannot be forwarded";
        let detail = format!("{}: {}", destination.physical_name, exception.text());
        crate::log::noted(&self.shared.host, &self.name, what, &printable(&detail));
    }

    /// A subscription for the other broker was refused.
    pub fn way_refused(&mut self, number: u64, exception: &Exception) {
        self.consumers.remove(number);
        let Some(bridge) = self.bridge.as_deref_mut() else { return };
        let destination = bridge.ways.get(&number).map(|way| way.destination.clone());
        bridge.lost(number);
        if let Some(destination) = destination {
            self.note_refused(&destination, exception.clone().refused());
        }
    }

    /// A message for the other broker: what is written, unless it may not be sent there.
    pub fn make_forwarded(&mut self, number: u64, mut message: Message) -> Option<Command> {
        let bridge = self.bridge.as_deref_mut()?;
        bridge.forward(number, &mut message)?;
        Some(Command::Message(Box::new(message)))
    }

    /// A message was sent to the other broker, as the command that was made of it last.
    pub fn forwarded(&mut self, number: u64, tag: u64, hash: u64) {
        let Some(bridge) = self.bridge.as_deref_mut() else { return };
        bridge.sent.insert(bridge.commands, Sent { number, tag, hash });
        if let Some(way) = bridge.ways.get_mut(&number) {
            way.under_way += 1;
        }
    }

    /// A message may not be sent there: it goes back after a moment.
    pub fn hold(&mut self, number: u64, tag: u64, hash: u64) {
        if let Some(consumer) = self.consumers.get_mut(number) {
            consumer.unsettled.sent(tag, hash);
        }
        let due_ms = self.timers.last_call_ms().saturating_add(HELD_MS);
        let Some(bridge) = self.bridge.as_deref_mut() else { return };
        if bridge.ways.get(&number).is_some_and(|way| !way.ending) {
            bridge.held.push_back((due_ms, Sent { number, tag, hash }));
        }
    }

    /// Gives back what was held long enough.
    pub fn give_back_held(&mut self, now_ms: u64, out: &mut Out<'_>) {
        while let Some(bridge) = self.bridge.as_deref() {
            let Some((_, held)) = bridge.held.front().copied().filter(|(due_ms, _)| *due_ms <= now_ms) else {
                return;
            };
            let mark = out.mark();
            if self.settle_sent(held, Outcome::Return, out) == Step::Full {
                out.rollback(mark);
                return;
            }
            if let Some(bridge) = self.bridge.as_deref_mut() {
                bridge.held.pop_front();
            }
        }
    }

    fn settle_sent(&mut self, sent: Sent, outcome: Outcome, out: &mut Out<'_>) -> Step {
        let meta = VerbMeta { token: Asked::settled(), id: sent.number, ..VerbMeta::default() };
        let range = SettleRange::Tags { first: sent.tag, last: sent.tag };
        out.settle(meta, &Settle { range, outcome });
        if out.overflowed() {
            return Step::Full;
        }
        let Some(consumer) = self.consumers.get_mut(sent.number) else { return Step::Done };
        if let Some(at) = consumer.unsettled.find(sent.tag, sent.hash) {
            consumer.unsettled.settled(at..at + 1);
            self.consumers.give_credit(sent.number, 1);
        }
        Step::Done
    }

    /// The other broker has answered a message.
    pub fn on_forward_answered(
        &mut self,
        correlation_id: i32,
        refusal: Option<&Throwable>,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let sent = self.bridge.as_deref().and_then(|bridge| bridge.sent.get(&correlation_id)).copied();
        let Some(sent) = sent else { return Ok(Step::Done) };
        let outcome = match refusal {
            None => Outcome::Accept,
            // A temporary destination may go while something is on its way to it.
            Some(why) if why.class.ends_with("DestinationDoesNotExistException") => {
                Outcome::Reject { reason: printable(why.message.as_deref().unwrap_or(&why.class)) }
            }
            Some(why) => {
                let text = why.message.as_deref().unwrap_or(&why.class);
                let text = format!("the other broker does not take what is forwarded to it: {text}");
                return Err(Exception::new(class::JMS, text).fatal());
            }
        };
        if self.settle_sent(sent, outcome, out) == Step::Full {
            return Ok(Step::Full);
        }
        if let Some(bridge) = self.bridge.as_deref_mut() {
            bridge.sent.remove(&correlation_id);
            if let Some(way) = bridge.ways.get_mut(&sent.number) {
                way.under_way = way.under_way.saturating_sub(1);
            }
        }
        Ok(Step::Done)
    }

    /// Subscribes with what a bridge wants. `None`: there was no room.
    fn subscribe_for_bridge(
        &mut self,
        info: &ConsumerInfo,
        out: &mut Out<'_>,
    ) -> Result<Option<u64>, Problem> {
        let number = self.consumers.next_number();
        let meta = VerbMeta { token: self.asked.next_token(), confirm: true, id: number, transaction: 0 };
        if !self.subscribe(info, meta, out)? {
            return Ok(None);
        }
        self.asked.keep(Kept::Way { number });
        if let Some(consumer) = self.consumers.get_mut(number) {
            consumer.forwards = true;
        }
        Ok(Some(number))
    }
}
