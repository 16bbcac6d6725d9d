// SPDX-License-Identifier: Apache-2.0
//! The names of headers that mean something to a broker or client, in one table.

macro_rules! header_names {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)+) => {
        /// A header's name, if it is one that means something; [`HeaderName::Other`] for all others.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum HeaderName {
            $($(#[$doc])* $variant,)+
            /// Any other: an application's own.
            Other,
        }

        impl HeaderName {
            /// All but [`HeaderName::Other`].
            pub const ALL: &'static [HeaderName] = &[$(HeaderName::$variant,)+];

            /// As it stands on the wire; empty for [`HeaderName::Other`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(HeaderName::$variant => $text,)+
                    HeaderName::Other => "",
                }
            }
        }
    };
}

header_names! {
    /// Versions that the client speaks.
    AcceptVersion = "accept-version",
    /// Virtual host.
    Host = "host",
    /// User name.
    Login = "login",
    /// Password.
    Passcode = "passcode",
    /// Client id, for durable subscriptions.
    ClientId = "client-id",
    /// See [`crate::codec::HeartBeat`].
    HeartBeat = "heart-beat",
    /// Version that was agreed.
    Version = "version",
    /// Name of the session.
    Session = "session",
    /// Name and version of the server.
    Server = "server",
    /// Where to or where from.
    Destination = "destination",
    /// Length of the body in bytes.
    ContentLength = "content-length",
    /// Media type of the body.
    ContentType = "content-type",
    /// A receipt is wanted, under this name.
    Receipt = "receipt",
    /// Which receipt it is.
    ReceiptId = "receipt-id",
    /// Transaction that the frame is part of.
    Transaction = "transaction",
    /// In `ERROR`: what was wrong, in short.
    Message = "message",
    /// Name of a subscription; in `ACK` and `NACK` of 1.2 what `ack` of the message said.
    Id = "id",
    /// In `SUBSCRIBE` the mode, in `MESSAGE` what to acknowledge with.
    Ack = "ack",
    /// Which subscription a message is for.
    Subscription = "subscription",
    /// The message's id.
    MessageId = "message-id",
    /// Condition on messages.
    Selector = "selector",
    /// Survives a restart.
    Persistent = "persistent",
    /// 0 to 9.
    Priority = "priority",
    /// ActiveMQ: when the message stops being of use, in milliseconds since 1970.
    Expires = "expires",
    /// RabbitMQ: after how many milliseconds the message stops being of use.
    Expiration = "expiration",
    /// Where replies go.
    ReplyTo = "reply-to",
    /// What the message belongs to.
    CorrelationId = "correlation-id",
    /// The application's type of the message.
    Type = "type",
    /// When it was sent, in milliseconds since 1970.
    Timestamp = "timestamp",
    /// In `MESSAGE`: it may have been delivered before.
    Redelivered = "redelivered",
    /// Message group.
    GroupId = "JMSXGroupID",
    /// Position in the group.
    GroupSequence = "JMSXGroupSeq",
    /// Who sent it, as the broker authenticated them.
    UserId = "JMSXUserID",
    /// How often it was delivered, this time included.
    DeliveryCount = "JMSXDeliveryCount",
    /// ActiveMQ: `text` or `bytes`, whatever `content-length` suggests.
    AmqMessageType = "amq-msg-type",
    /// ActiveMQ: ask for the body in another form.
    Transformation = "transformation",
    /// ActiveMQ: deliver after so many milliseconds.
    ScheduledDelay = "AMQ_SCHEDULED_DELAY",
    /// ActiveMQ: deliver again and again.
    ScheduledPeriod = "AMQ_SCHEDULED_PERIOD",
    /// ActiveMQ: how often again.
    ScheduledRepeat = "AMQ_SCHEDULED_REPEAT",
    /// ActiveMQ: deliver by a timetable.
    ScheduledCron = "AMQ_SCHEDULED_CRON",
    /// The W3C trace context.
    TraceParent = "traceparent",
    /// ActiveMQ: where a dead letter was sent to first.
    OriginalDestination = "original-destination",
    /// ActiveMQ: why it is a dead letter.
    DeadLetterCause = "dlqDeliveryFailureCause",
    /// In `NACK`, as RabbitMQ spells it: again, instead of to the dead letters.
    Requeue = "requeue",
    /// ActiveMQ: look without consuming; in `MESSAGE`, `end` when all was seen.
    Browser = "browser",
    /// RabbitMQ: the subscription stays while its client is away.
    Durable = "durable",
    /// RabbitMQ: ... or goes with it.
    AutoDelete = "auto-delete",
    /// Not the messages of this connection.
    NoLocal = "no-local",
    /// RabbitMQ: messages in flight.
    PrefetchCount = "prefetch-count",
    /// Name of a durable subscription, as ActiveMQ Artemis spells it.
    DurableSubscriptionName = "durable-subscription-name",
    /// ActiveMQ: name of a durable subscription.
    AmqSubscriptionName = "activemq.subscriptionName",
    /// The same, misspelled as ActiveMQ accepts it.
    AmqSubcriptionName = "activemq.subcriptionName",
    /// ActiveMQ: messages in flight.
    AmqPrefetchSize = "activemq.prefetchSize",
    /// ActiveMQ: one consumer at a time.
    AmqExclusive = "activemq.exclusive",
    /// ActiveMQ: consumer priority.
    AmqPriority = "activemq.priority",
    /// ActiveMQ: not the messages of this connection.
    AmqNoLocal = "activemq.noLocal",
    /// ActiveMQ: send what was missed.
    AmqRetroactive = "activemq.retroactive",
    /// ActiveMQ: a threading hint.
    AmqDispatchAsync = "activemq.dispatchAsync",
    /// ActiveMQ: how many messages may wait for a slow consumer.
    AmqMaximumPending = "activemq.maximumPendingMessageLimit",
}

/// Longest known name, in bytes.
const LONGEST_BYTES: usize = 35;
/// Most known names of one length.
const PER_LENGTH: usize = 8;

/// The known names by their length, so that a name is compared with a few others only.
static BY_LENGTH: [[HeaderName; PER_LENGTH]; LONGEST_BYTES + 1] = by_length();

const fn by_length() -> [[HeaderName; PER_LENGTH]; LONGEST_BYTES + 1] {
    let mut table = [[HeaderName::Other; PER_LENGTH]; LONGEST_BYTES + 1];
    let mut at = 0;
    while at < HeaderName::ALL.len() {
        // tidy: allow(evaluated when this is compiled)
        let name = HeaderName::ALL[at];
        let row = name.as_str().len();
        let mut column = 0;
        // tidy: allow(evaluated when this is compiled)
        while !matches!(table[row][column], HeaderName::Other) {
            column += 1;
        }
        // tidy: allow(evaluated when this is compiled)
        table[row][column] = name;
        at += 1;
    }
    table
}

impl HeaderName {
    /// How many there are, with [`HeaderName::Other`].
    pub const COUNT: usize = HeaderName::ALL.len() + 1;

    /// The name with this spelling; case counts.
    pub fn from_bytes(bytes: &[u8]) -> HeaderName {
        let Some(row) = BY_LENGTH.get(bytes.len()) else { return HeaderName::Other };
        row.iter()
            .take_while(|name| **name != HeaderName::Other)
            .find(|name| name.as_str().as_bytes() == bytes)
            .copied()
            .unwrap_or(HeaderName::Other)
    }

    /// Whether an application may put a header of this name on a message and get it back: all that neither steer
    /// the broker nor are set by it.
    pub fn is_applications(self) -> bool {
        matches!(
            self,
            HeaderName::Other
                | HeaderName::Host
                | HeaderName::Version
                | HeaderName::Session
                | HeaderName::Server
                | HeaderName::Message
                | HeaderName::Id
                | HeaderName::Selector
                | HeaderName::Requeue
                | HeaderName::Durable
                | HeaderName::AutoDelete
                | HeaderName::NoLocal
                | HeaderName::PrefetchCount
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_and_others_are_not() {
        for name in HeaderName::ALL {
            assert_eq!(HeaderName::from_bytes(name.as_str().as_bytes()), *name);
        }
        for other in ["", "x", "Destination", "destinatiom", "a-header-that-is-longer-than-any-known-one"] {
            assert_eq!(HeaderName::from_bytes(other.as_bytes()), HeaderName::Other);
        }
    }
}
