// SPDX-License-Identifier: Apache-2.0
//! What each verb needs to make sense by itself.

use sabir_model::BranchAct;
use sabir_model::Destination;
use sabir_model::destination::DestinationKind;
use sabir_model::message::Message;
use sabir_model::verb::{
    Bind, Declare, Delete, Query, Reason, Refusal, Request, Settle, SettleRange, Subscribe, Verb,
};

pub(super) fn check(request: &Request) -> Result<(), Refusal> {
    match &request.verb {
        Verb::Publish(message) => publish(message),
        Verb::Settle(settle) => settling(settle),
        Verb::Credit { .. }
        | Verb::Piece { .. }
        | Verb::Disconnect
        | Verb::Detach
        | Verb::Unsubscribe { .. } => Ok(()),
        Verb::Connect(connect) => {
            let exclusive = connect.exclusive_client_id;
            need(!exclusive || connect.client_id.is_some(), "a client id of one's own needs a client id")?;
            need(!connect.take_over || exclusive, "only a client id of one's own is taken over")?;
            let blank = connect
                .client_id
                .as_deref()
                .is_some_and(|id| id.is_empty() || id.chars().any(char::is_control));
            need(!blank, "the client id is empty or has a control character")
        }
        Verb::Transact(_) => need(request.transaction != 0, "a transaction needs a number other than 0"),
        Verb::Branch(step) => {
            let part = matches!(step.act, BranchAct::Begin | BranchAct::Await);
            need(!part || request.transaction != 0, "a part of a branch needs a number other than 0")
        }
        Verb::Attach(attach) => {
            need(!attach.destinations.is_empty(), "a producer needs a destination")?;
            attach.destinations.iter().try_for_each(|destination| literal(destination, "sent to"))
        }
        Verb::Subscribe(asked) => subscribe(asked),
        Verb::Declare(asked) => declare(asked),
        Verb::Delete(asked) => delete(asked),
        Verb::Bind(asked) | Verb::Unbind(asked) => bind(asked),
        Verb::Query(query) => match query.as_ref() {
            Query::List(_) | Query::Prepared { .. } => Ok(()),
            Query::Explain(destination) => literal(destination, "explained"),
        },
    }
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new(Reason::Invalid, text)
}

fn need(holds: bool, text: &str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(invalid(text)) }
}

/// A name with a wildcard stands for many destinations, which only reading can mean.
fn literal(destination: &Destination, what: &str) -> Result<(), Refusal> {
    if has_wildcard(destination) {
        return Err(invalid(format!("{destination} has a wildcard, and cannot be {what}")));
    }
    Ok(())
}

fn has_wildcard(destination: &Destination) -> bool {
    destination.name.split('.').any(|word| matches!(word, "*" | "#"))
}

/// Times before 1970 would be read as "never" by one place and as "long ago" by another.
fn publish(message: &Message) -> Result<(), Refusal> {
    let head = message.head();
    let negative =
        |text: &str| Refusal::new(Reason::BadMessage, format!("the message's {text} is before 1970"));
    if head.expiration_ms() < 0 {
        return Err(negative("expiration"));
    }
    if head.deliver_at_ms() < 0 {
        return Err(negative("delivery time"));
    }
    if head.timestamp_ms() < 0 {
        return Err(negative("timestamp"));
    }
    Ok(())
}

fn settling(settle: &Settle) -> Result<(), Refusal> {
    match settle.range {
        SettleRange::Tags { first, last } => {
            need(first <= last, "the last delivery to settle comes before the first")
        }
        SettleRange::UpTo(_) | SettleRange::SessionUpTo(_) => Ok(()),
    }
}

fn subscribe(asked: &Subscribe) -> Result<(), Refusal> {
    need(!asked.destinations.is_empty(), "a subscription needs a destination")?;
    for destination in &asked.destinations {
        if destination.kind == DestinationKind::Exchange {
            return Err(invalid(format!("{destination} cannot be subscribed to: bind a queue to it")));
        }
        if destination.kind.is_temporary() {
            literal(destination, "subscribed to")?;
        }
        if destination.kind.is_topic() && asked.browse {
            return Err(invalid(format!("{destination} cannot be browsed: only queues keep messages")));
        }
        if asked.durable && destination.kind != DestinationKind::Topic {
            return Err(invalid(format!(
                "a subscription of {destination} cannot be durable: only topics need that"
            )));
        }
    }
    need(!asked.durable || asked.name.is_some(), "a durable subscription needs a name")?;
    need(asked.name.as_deref() != Some(""), "the subscription's name is empty")?;
    need(!(asked.shared && asked.exclusive), "a subscription cannot be both shared and exclusive")
}

fn declare(asked: &Declare) -> Result<(), Refusal> {
    let destination = &asked.destination;
    literal(destination, "made")?;
    let is_exchange = destination.kind == DestinationKind::Exchange;
    need(is_exchange || asked.exchange_kind.is_none(), "only an exchange has an exchange's kind")?;
    need(
        !is_exchange || asked.exchange_kind.is_some() || asked.passive,
        "an exchange needs its kind: direct, fanout, topic or headers",
    )?;
    need(!(destination.kind.is_temporary() && asked.durable), "a temporary destination cannot be durable")
}

fn delete(asked: &Delete) -> Result<(), Refusal> {
    need(
        asked.destination.is_some() != asked.subscription_name.is_some(),
        "either a destination or a durable subscription is removed",
    )?;
    asked.destination.as_ref().map_or(Ok(()), |destination| literal(destination, "removed"))
}

fn bind(asked: &Bind) -> Result<(), Refusal> {
    literal(&asked.source, "bound")?;
    literal(&asked.target, "bound to")?;
    need(asked.source.kind == DestinationKind::Exchange, "only an exchange can be bound to something")?;
    let target = asked.target.kind;
    let queue_like =
        matches!(target, DestinationKind::Queue | DestinationKind::TempQueue | DestinationKind::Exchange);
    need(queue_like, "an exchange can be bound to queues and exchanges only")
}
