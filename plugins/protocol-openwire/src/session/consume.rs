// SPDX-License-Identifier: Apache-2.0
//! Consumers: how they begin and end, and how many messages they may be sent.

use super::asked::{Asked, Kept};
use super::destination::{self, Use, consumer_options};
use super::problem::{Problem, printable};
use super::unsettled::Unsettled;
use super::{Core, Step, advisory};
use crate::codec::{
    Command, ConsumerControl, ConsumerId, ConsumerInfo, Destination, MessageDispatch, MessagePull,
    RemoveInfo, RemoveSubscriptionInfo,
};
use sabir_model::destination::DestinationKind;
use sabir_model::pattern::Pattern;
use sabir_model::verb::{Delete, Outcome, Settle, SettleRange, Subscribe};
use sabir_sdk::protocol::{Out, VerbMeta};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How much credit a consumer may be owed before it is given.
const MOST_CREDIT_HELD_BACK: u64 = 64;

/// A consumer.
#[derive(Debug)]
pub struct Consumer {
    /// The client's name of it.
    pub id: Arc<ConsumerId>,
    /// What it reads, as the client wrote it.
    pub destination: Arc<Destination>,
    /// What it reads, if that is one destination by name: where its messages come from, whatever they say themselves.
    pub source: Option<Arc<Destination>>,
    /// Otherwise: the topics that it reads.
    pub topics: Box<[Pattern]>,
    /// It is ours, for the other broker of a bridge.
    pub forwards: bool,
    /// Whether it may be told of events.
    pub tells_events: bool,
    /// The broker knows nothing of it: it listens to what is never told.
    pub is_silent: bool,
    /// What it has not settled.
    pub unsettled: Unsettled,
    /// How many it may have that it has not told us of; 0: it asks for each.
    prefetch: u64,
    /// Credit that is to be given.
    owed: u64,
    /// Credit that came back and is not given again: its prefetch was lowered by so much.
    withheld: u64,
    /// It is sent nothing for now.
    stopped: bool,
    pull: Option<Pull>,
    pulls: u64,
}

/// A request for one message.
#[derive(Clone, Copy, Debug)]
struct Pull {
    serial: u64,
    until_ms: Option<u64>,
    /// The broker was told to come to an end.
    ending: bool,
}

/// The consumers of a connection.
#[derive(Debug, Default)]
pub struct Consumers {
    known: BTreeMap<u64, Consumer>,
    numbers: HashMap<Arc<ConsumerId>, u64>,
    made: u64,
    /// Those that are owed credit.
    owed: Vec<u64>,
    /// When requests for messages end.
    pulls: BTreeSet<(u64, u64)>,
}

/// What the client says of the messages that reached its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// None did.
    None,
    /// It does not say.
    Unknown,
    /// All up to the one with this tag did.
    UpTo(u64),
    /// The same, if that was one of this consumer's.
    UpToOwn(u64),
}

impl Last {
    /// `of_several`: it is said of several consumers together.
    pub fn of(sequence: i64, of_several: bool) -> Last {
        match u64::try_from(sequence) {
            Ok(tag) if of_several => Last::UpToOwn(tag),
            Ok(tag) => Last::UpTo(tag),
            Err(_) if sequence == RemoveInfo::DELIVERED_UNKNOWN => Last::Unknown,
            Err(_) => Last::None,
        }
    }
}

impl Consumers {
    /// The consumer with the broker's number.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Consumer> {
        self.known.get_mut(&number)
    }

    /// The broker's number of a consumer.
    pub fn number_of(&self, id: &ConsumerId) -> Option<u64> {
        self.numbers.get(id).copied()
    }

    /// The number of the next one.
    pub fn next_number(&self) -> u64 {
        self.made + 1
    }

    /// A consumer is to be sent nothing more.
    pub fn stop(&mut self, number: u64) {
        if let Some(consumer) = self.known.get_mut(&number) {
            consumer.stopped = true;
            consumer.withheld = 0;
        }
    }

    /// One of them.
    pub fn any(&self) -> Option<u64> {
        self.known.keys().next().copied()
    }

    /// One of those of a session.
    pub fn any_of_session(&self, session: i64) -> Option<u64> {
        self.known.iter().find(|(_, consumer)| consumer.id.session_id == session).map(|(number, _)| *number)
    }

    /// A consumer is no more.
    pub fn remove(&mut self, number: u64) -> Option<Consumer> {
        let consumer = self.known.remove(&number)?;
        self.numbers.remove(&consumer.id);
        if let Some(until_ms) = consumer.pull.and_then(|pull| pull.until_ms) {
            self.pulls.remove(&(until_ms, number));
        }
        Some(consumer)
    }

    /// Credit has come back.
    pub fn give_credit(&mut self, number: u64, credit: u64) {
        let Some(consumer) = self.known.get_mut(&number) else { return };
        let withheld = credit.min(consumer.withheld);
        consumer.withheld -= withheld;
        let credit = credit - withheld;
        if credit == 0 || consumer.prefetch == 0 || consumer.stopped {
            return;
        }
        let before = consumer.owed;
        consumer.owed += credit;
        // Not each message's by itself where there are many: an eighth of the prefetch is held back at the most.
        let worth = (consumer.prefetch / 8).clamp(1, MOST_CREDIT_HELD_BACK);
        if before < worth && consumer.owed >= worth {
            self.owed.push(number);
        }
    }

    /// How many messages about the broker's events there are that no consumer has settled.
    pub fn unsettled_events(&self) -> usize {
        let listeners = self.known.values().filter(|consumer| consumer.tells_events);
        listeners.map(|consumer| consumer.unsettled.len()).sum()
    }

    /// Whether somebody is owed credit.
    pub fn has_credit_to_give(&self) -> bool {
        !self.owed.is_empty()
    }

    /// When the next request for a message ends.
    pub fn next_pull_ms(&self) -> Option<u64> {
        self.pulls.first().map(|(until_ms, _)| *until_ms)
    }

    /// A message came: the request for one is done.
    pub fn pulled(&mut self, number: u64) {
        let Some(consumer) = self.known.get_mut(&number) else { return };
        if let Some(until_ms) = consumer.pull.take().and_then(|pull| pull.until_ms) {
            self.pulls.remove(&(until_ms, number));
        }
    }
}

/// The topics of a subscription to several.
fn topics_of(subscribe: &Subscribe) -> Box<[Pattern]> {
    let topics = subscribe.destinations.iter().filter(|one| one.kind == DestinationKind::Topic);
    topics.filter_map(|one| Pattern::parse(&one.name).ok()).collect()
}

impl Core {
    /// A consumer begins.
    pub fn on_consumer_info(&mut self, info: &ConsumerInfo, out: &mut Out<'_>) -> Result<Step, Problem> {
        let missing = |field| Problem::missing("ConsumerInfo", field);
        let id = info.consumer_id.as_ref().ok_or_else(|| missing("consumerId"))?;
        let destination = info.destination.as_ref().ok_or_else(|| missing("destination"))?;
        self.check_session(&id.connection_id, id.session_id)?;
        if self.consumers.numbers.contains_key(id) {
            return Ok(self.respond_to(info.command_id, info.response_required));
        }
        let max = self.shared.settings.max_consumers;
        if self.consumers.known.len() >= max {
            return Err(Problem::limit("max_consumers", max));
        }
        let subscribe = self.read_consumer(info, destination)?;
        let number = self.consumers.next_number();
        let respond = info.response_required.then_some(info.command_id);
        let lists = self.lists_for(&subscribe);
        if subscribe.destinations.is_empty() {
            // Advisories of which this broker has none: there is nothing that it could be told.
            self.know(number, id, destination, &subscribe);
            self.respond(respond);
            return Ok(Step::Done);
        }
        let meta = VerbMeta { token: self.asked.next_token(), confirm: true, id: number, transaction: 0 };
        out.subscribe(meta, &subscribe);
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.asked.keep(Kept::Subscribe { number, respond });
        self.know(number, id, destination, &subscribe);
        self.lists.want(number, lists);
        Ok(Step::Done)
    }

    /// Subscribes for a consumer that is none of the client's. `false`: there was no room.
    pub fn subscribe(
        &mut self,
        info: &ConsumerInfo,
        meta: VerbMeta,
        out: &mut Out<'_>,
    ) -> Result<bool, Problem> {
        let (Some(id), Some(destination)) = (&info.consumer_id, &info.destination) else { return Ok(true) };
        let max = self.shared.settings.max_consumers;
        if self.consumers.known.len() >= max {
            return Err(Problem::limit("max_consumers", max));
        }
        let subscribe = self.read_consumer(info, destination)?;
        out.subscribe(meta, &subscribe);
        if out.overflowed() {
            return Ok(false);
        }
        self.know(meta.id, id, destination, &subscribe);
        Ok(true)
    }

    fn know(
        &mut self,
        number: u64,
        id: &Arc<ConsumerId>,
        destination: &Arc<Destination>,
        subscribe: &Subscribe,
    ) {
        let literal = |name: &str| !destination::has_wildcard(name) && !name.contains([',', '?']);
        let named = literal(&destination.physical_name) && !advisory::is_advisory(&destination.physical_name);
        let consumer = Consumer {
            id: id.clone(),
            destination: destination.clone(),
            source: named.then(|| destination.clone()),
            topics: if named { Box::default() } else { topics_of(subscribe) },
            forwards: false,
            tells_events: subscribe.destinations.iter().any(advisory::is_event),
            is_silent: subscribe.destinations.is_empty(),
            unsettled: Unsettled::default(),
            prefetch: subscribe.credit,
            owed: 0,
            withheld: 0,
            stopped: false,
            pull: None,
            pulls: 0,
        };
        self.consumers.made = number;
        self.consumers.numbers.insert(id.clone(), number);
        self.consumers.known.insert(number, consumer);
    }

    fn read_consumer(&self, info: &ConsumerInfo, destination: &Destination) -> Result<Subscribe, Problem> {
        self.check_length(destination)?;
        let settings = &self.shared.settings;
        let options = consumer_options(destination)?;
        let mut destinations = destination::resolve(destination, Use::Receive, settings.max_composite)?;
        if !settings.advisories {
            destinations.retain(|one| !advisory::is_event(one));
        }
        let browse = options.browser.unwrap_or(info.browser);
        let topics = destinations.iter().all(|one| one.kind.is_topic());
        let name = info.subscription_name.as_deref().filter(|name| !name.is_empty() && topics);
        if name.is_some() && self.client_id.is_none() {
            return Err(Problem::state("a durable subscription needs a client id"));
        }
        let prefetch = i64::from(options.prefetch_size.unwrap_or(info.prefetch_size)).max(0) as u64;
        let selector = options.selector.or_else(|| info.selector.as_deref().map(str::to_owned));
        Ok(Subscribe {
            destinations,
            selector: selector.filter(|selector| !selector.trim().is_empty()),
            durable: name.is_some(),
            name: name.map(str::to_owned),
            credit: prefetch.min(settings.max_prefetch),
            priority: options.priority.unwrap_or(info.priority),
            auto_accept: false,
            no_local: options.no_local.unwrap_or(info.no_local),
            exclusive: options.exclusive.unwrap_or(info.exclusive),
            browse,
            shared: false,
            auto_delete: false,
            link_credit: true,
        })
    }

    /// A consumer ends at the wish of its client, who may want a response.
    pub fn end_consumer_for(
        &mut self,
        number: u64,
        last: Last,
        command_id: i32,
        respond: bool,
        out: &mut Out<'_>,
    ) -> Step {
        let is_silent = self.consumers.known.get(&number).is_some_and(|consumer| consumer.is_silent);
        let token = Asked::token(command_id, respond);
        let meta = VerbMeta { token, confirm: respond, ..VerbMeta::default() };
        let step = self.end_consumer(number, last, meta, out);
        if is_silent && step == Step::Done {
            return self.respond_to(command_id, respond);
        }
        step
    }

    /// A consumer ends: what reached the application counts as an attempt, the rest was never looked at.
    pub fn end_consumer(&mut self, number: u64, last: Last, meta: VerbMeta, out: &mut Out<'_>) -> Step {
        match self.settle_kept_of(number, out) {
            Step::Done => {}
            other => return other,
        }
        let Some(consumer) = self.consumers.known.get(&number) else { return Step::Done };
        if consumer.is_silent {
            self.consumers.remove(number);
            return Step::Done;
        }
        let reached = match last {
            Last::None => None,
            Last::Unknown => Some(u64::MAX),
            Last::UpTo(tag) => Some(tag),
            Last::UpToOwn(tag) => consumer.unsettled.has_tag(tag).then_some(tag),
        };
        let settled = VerbMeta { token: Asked::settled(), id: number, ..VerbMeta::default() };
        if let Some(tag) = reached {
            let plan = consumer.unsettled.plan(consumer.unsettled.up_to_tag(tag));
            for (first, last) in plan.runs {
                let outcome = Outcome::Release { delay_ms: None };
                out.settle(settled, &Settle { range: SettleRange::Tags { first, last }, outcome });
            }
        }
        // Also what is on its way to us.
        let rest = Settle { range: SettleRange::UpTo(u64::MAX), outcome: Outcome::Return };
        if consumer.unsettled.len() > 0 || consumer.prefetch > 0 {
            out.settle(settled, &rest);
        }
        out.unsubscribe(VerbMeta { id: number, ..meta }, false);
        if out.overflowed() {
            return Step::Full;
        }
        self.consumers.remove(number);
        Step::Done
    }

    /// A durable subscription ends for good.
    pub fn on_remove_subscription(
        &mut self,
        info: &RemoveSubscriptionInfo,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let missing = |field| Problem::missing("RemoveSubscriptionInfo", field);
        let name = info.subscription_name.as_deref().ok_or_else(|| missing("subcriptionName"))?;
        if let Some(client_id) = &info.client_id
            && self.client_id.as_deref() != Some(client_id)
        {
            return Err(Problem::state("the subscription belongs to another client id"));
        }
        let delete = Delete {
            destination: None,
            subscription_name: Some(name.to_owned()),
            if_empty: false,
            if_unused: true,
        };
        let token = Asked::token(info.command_id, info.response_required);
        out.delete(VerbMeta { token, confirm: info.response_required, ..VerbMeta::default() }, &delete);
        Ok(if out.overflowed() { Step::Full } else { Step::Done })
    }

    /// A consumer changes how it goes on.
    pub fn on_consumer_control(
        &mut self,
        control: &ConsumerControl,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let respond = |core: &mut Core| Ok(core.respond_to(control.command_id, control.response_required));
        let id =
            control.consumer_id.as_ref().ok_or_else(|| Problem::missing("ConsumerControl", "consumerId"))?;
        let Some(number) = self.consumers.number_of(id) else { return respond(self) };
        if control.close {
            let respond = control.response_required;
            return Ok(self.end_consumer_for(number, Last::None, control.command_id, respond, out));
        }
        let max_prefetch = self.shared.settings.max_prefetch;
        let Some(consumer) = self.consumers.known.get_mut(&number) else { return respond(self) };
        let prefetch = (i64::from(control.prefetch).max(0) as u64).min(max_prefetch);
        let meta = VerbMeta { token: Asked::settled(), id: number, ..VerbMeta::default() };
        if control.stop && !consumer.stopped {
            out.credit(meta, 0, true);
        } else if control.start && consumer.stopped {
            let credit = consumer.prefetch.saturating_sub(consumer.unsettled.uncredited());
            out.credit(meta, credit, true);
        }
        if out.overflowed() {
            return Ok(Step::Full);
        }
        if control.stop || control.start {
            consumer.stopped = control.stop;
            consumer.withheld = 0;
        }
        // A control that starts or stops says nothing of the prefetch.
        if !control.stop && !control.start && !control.flush {
            let before = std::mem::replace(&mut consumer.prefetch, prefetch);
            if prefetch < before {
                consumer.withheld += before - prefetch;
            } else {
                // From none: a client that comes back begins without prefetch, until it has found out where it was.
                self.consumers.give_credit(number, prefetch - before);
            }
        }
        respond(self)
    }

    /// A consumer asks for a message.
    pub fn on_message_pull(
        &mut self,
        now_ms: u64,
        pull: &MessagePull,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let id = pull.consumer_id.as_ref().ok_or_else(|| Problem::missing("MessagePull", "consumerId"))?;
        let token = self.asked.next_token();
        let number = self.consumers.number_of(id);
        let found = number.and_then(|number| Some((number, self.consumers.known.get_mut(&number)?)));
        let Some((number, consumer)) = found.filter(|(_, consumer)| consumer.prefetch == 0) else {
            return Ok(self.respond_to(pull.command_id, pull.response_required));
        };
        let serial = consumer.pulls + 1;
        let at_once = pull.timeout < 0;
        // What an earlier request has left is used up by this one.
        if at_once {
            let amount = u64::from(consumer.pull.is_none_or(|pull| pull.ending));
            out.drain(VerbMeta { token, confirm: true, id: number, transaction: 0 }, amount);
        } else {
            let meta = VerbMeta { token: Asked::settled(), id: number, ..VerbMeta::default() };
            out.credit(meta, 1, true);
        }
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.consumers.pulled(number);
        let until_ms = u64::try_from(pull.timeout).ok().filter(|timeout| *timeout > 0);
        let until_ms = until_ms.map(|timeout| now_ms.saturating_add(timeout));
        if let Some(consumer) = self.consumers.known.get_mut(&number) {
            consumer.pulls = serial;
            consumer.pull = Some(Pull { serial, until_ms, ending: at_once });
        }
        self.consumers.pulls.extend(until_ms.map(|until_ms| (until_ms, number)));
        if at_once {
            self.asked.keep(Kept::Pull { number, serial });
        }
        Ok(self.respond_to(pull.command_id, pull.response_required))
    }

    /// Ends the requests for messages whose time has come.
    pub fn on_pull_time(&mut self, now_ms: u64, out: &mut Out<'_>) {
        while let Some((until_ms, number)) = self.consumers.pulls.first().copied() {
            if until_ms > now_ms {
                return;
            }
            let pull = self.consumers.known.get(&number).and_then(|consumer| consumer.pull);
            if let Some(pull) = pull {
                let mark = out.mark();
                let token = self.asked.next_token();
                out.drain(VerbMeta { token, confirm: true, id: number, transaction: 0 }, 0);
                if out.overflowed() {
                    out.rollback(mark);
                    return;
                }
                self.asked.keep(Kept::Pull { number, serial: pull.serial });
            }
            self.consumers.pulls.pop_first();
            if let Some(pull) = self.consumers.get_mut(number).and_then(|consumer| consumer.pull.as_mut()) {
                pull.until_ms = None;
                pull.ending = true;
            }
        }
    }

    /// A request for a message has come to its end: if none came, the consumer is told.
    pub fn pull_ended(&mut self, number: u64, serial: u64) {
        let Some(consumer) = self.consumers.get_mut(number) else { return };
        if consumer.pull.is_some_and(|pull| pull.serial == serial) {
            consumer.pull = None;
            let nothing = nothing_for(consumer);
            self.output.push(Command::MessageDispatch(Box::new(nothing)));
        }
    }

    /// Gives the credit that has come back. `false`: there was no room for all of it.
    pub fn pay_credit(&mut self, out: &mut Out<'_>) -> bool {
        while let Some(number) = self.consumers.owed.last().copied() {
            let owed = self.consumers.known.get(&number).map_or(0, |consumer| consumer.owed);
            if owed > 0 {
                let mark = out.mark();
                let meta = VerbMeta { token: Asked::settled(), id: number, ..VerbMeta::default() };
                out.credit(meta, owed, false);
                if out.overflowed() {
                    out.rollback(mark);
                    return false;
                }
            }
            self.consumers.owed.pop();
            if let Some(consumer) = self.consumers.known.get_mut(&number) {
                consumer.owed = 0;
            }
        }
        if self.consumers.owed.capacity() > 64 {
            self.consumers.owed = Vec::new();
        }
        true
    }

    /// The broker has ended a subscription.
    pub fn consumer_cancelled(&mut self, number: u64, reason: &str) {
        let Some(consumer) = self.consumers.remove(number) else { return };
        let host = &self.shared.host;
        crate::log::noted(host, &self.name, "the broker has ended a subscription", &printable(reason));
        if consumer.forwards {
            if let Some(bridge) = self.bridge.as_deref_mut() {
                bridge.lost(number);
            }
            return;
        }
        self.output.push(ConsumerControl {
            destination: Some(consumer.destination.clone()),
            close: true,
            consumer_id: Some(consumer.id.clone()),
            ..ConsumerControl::default()
        });
    }
}

/// What a consumer is sent when there is no message, or no more.
pub fn nothing_for(consumer: &Consumer) -> MessageDispatch {
    MessageDispatch {
        consumer_id: Some(consumer.id.clone()),
        destination: Some(consumer.destination.clone()),
        ..MessageDispatch::default()
    }
}
