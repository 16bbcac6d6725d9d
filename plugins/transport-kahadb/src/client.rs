// SPDX-License-Identifier: Apache-2.0
//! A client of the broker over a link of its own, on a thread that may wait.

use crate::link::{Door, Ends};
use sabir_protocol_openwire::codec::map::Value;
use sabir_protocol_openwire::codec::{
    Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo, Decoder, Destination, Encoder, Framed,
    LocalTransactionId, Message, MessageAck, MessageDispatch, MessagePull, NEWEST_VERSION, ObjectId, Options,
    ProducerId, ProducerInfo, RemoveInfo, SessionId, SessionInfo, ShutdownInfo, TransactionId,
    TransactionInfo, WireFormatInfo,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The broker refused it.
    #[error("{0}")]
    Refused(String),
    /// The broker has gone.
    #[error("the broker has closed the link{0}")]
    Gone(String),
    /// Something cannot be said, or is not understood.
    #[error("{0}")]
    Unspeakable(String),
}

/// What it comes to.
pub type Result<T> = std::result::Result<T, Failure>;

/// The only session of each client.
const SESSION: i64 = 1;

/// A client.
pub struct Client {
    ends: Ends,
    encoder: Encoder,
    decoder: Decoder,
    read: Vec<u8>,
    written: Vec<u8>,
    commands: i32,
    transactions: i64,
    consumers: i64,
    sequence: i64,
    connection: Arc<ConnectionId>,
    /// Its producer.
    pub producer: Arc<ProducerId>,
    dispatched: VecDeque<MessageDispatch>,
}

/// A consumer that asks for each message.
#[derive(Clone, Debug)]
pub struct Consumer {
    id: Arc<ConsumerId>,
    destination: Arc<Destination>,
}

impl Client {
    /// Connects. `name` is unlike that of any other connection.
    pub fn connect(door: &Door, name: &str, client_id: &str) -> Result<Self> {
        let ends = door.enter().ok_or_else(|| Failure::Gone(String::new()))?;
        let options = Options {
            max_frame: i64::MAX as u64,
            budget_bytes: 64 << 20,
            stack_trace: false,
            ..Options::initial()
        };
        let connection = Arc::new(ConnectionId { value: name.into() });
        let producer = Arc::new(ProducerId { connection_id: name.into(), value: 1, session_id: SESSION });
        let mut client = Client {
            ends,
            encoder: Encoder::new(options),
            decoder: Decoder::new(options),
            read: Vec::new(),
            written: Vec::new(),
            commands: 0,
            transactions: 0,
            consumers: 0,
            sequence: 0,
            connection: connection.clone(),
            producer: producer.clone(),
            dispatched: VecDeque::new(),
        };
        client.negotiate()?;
        client.call(|command_id| {
            Command::from(ConnectionInfo {
                command_id,
                response_required: true,
                connection_id: Some(connection.clone()),
                client_id: Some(client_id.into()),
                client_master: true,
                ..ConnectionInfo::default()
            })
        })?;
        let session_id = Some(Arc::new(SessionId { connection_id: name.into(), value: SESSION }));
        client.call(|command_id| {
            Command::from(SessionInfo { command_id, response_required: true, session_id })
        })?;
        client.call(|command_id| {
            Command::from(ProducerInfo {
                command_id,
                response_required: true,
                producer_id: Some(producer),
                ..ProducerInfo::default()
            })
        })?;
        Ok(client)
    }

    fn negotiate(&mut self) -> Result<()> {
        let mut ours = WireFormatInfo::preferred();
        for name in ["StackTraceEnabled", "CacheEnabled", "TightEncodingEnabled"] {
            ours.set(name, Value::Boolean(false));
        }
        for name in ["MaxInactivityDuration", "MaxInactivityDurationInitalDelay"] {
            ours.set(name, Value::Long(0));
        }
        self.send(&Command::WireFormatInfo(Box::new(ours)))?;
        loop {
            if let Command::WireFormatInfo(theirs) = self.receive()? {
                if theirs.version < i32::from(NEWEST_VERSION) {
                    let text = format!("the broker speaks version {} of OpenWire", theirs.version);
                    return Err(Failure::Unspeakable(text));
                }
                return Ok(());
            }
        }
    }

    fn next_command(&mut self) -> i32 {
        self.commands = self.commands.wrapping_add(1);
        self.commands
    }

    fn send(&mut self, command: &Command) -> Result<()> {
        let mut written = std::mem::take(&mut self.written);
        written.clear();
        let encoded = self.encoder.encode(command, &mut written);
        encoded.map_err(|error| Failure::Unspeakable(error.to_string()))?;
        let pushed = self.ends.to.push(&written);
        self.written = written;
        pushed.map_err(|_| Failure::Gone(String::new()))
    }

    fn receive(&mut self) -> Result<Command> {
        loop {
            let framed = self.decoder.frame(&self.read);
            match framed.map_err(|error| Failure::Unspeakable(error.to_string()))? {
                Framed::Whole { body, consumed } => {
                    let frame: Vec<u8> = self.read.get(body).unwrap_or_default().to_vec();
                    self.read.drain(..consumed);
                    let decoded = self.decoder.decode(&frame);
                    return decoded.map_err(|error| Failure::Unspeakable(error.to_string()));
                }
                Framed::Need(_) => {
                    self.ends.from.take(&mut self.read).map_err(|_| Failure::Gone(String::new()))?;
                }
            }
        }
    }

    /// Sends a command and waits for its response.
    pub fn call(&mut self, command: impl FnOnce(i32) -> Command) -> Result<Command> {
        let id = self.next_command();
        self.send(&command(id))?;
        loop {
            let answer = self.receive()?;
            match answer {
                Command::Response(ref response) if response.correlation_id == id => return Ok(answer),
                Command::IntegerResponse(ref response) if response.correlation_id == id => {
                    return Ok(answer);
                }
                Command::DataArrayResponse(ref response) if response.correlation_id == id => {
                    return Ok(answer);
                }
                Command::ExceptionResponse(response) if response.correlation_id == id => {
                    return Err(Failure::Refused(text_of(response.exception.as_deref())));
                }
                Command::ConnectionError(error) => {
                    return Err(Failure::Gone(format!(": {}", text_of(error.exception.as_deref()))));
                }
                Command::MessageDispatch(dispatch) => self.dispatched.push_back(*dispatch),
                _ => {}
            }
        }
    }

    /// Begins a transaction.
    pub fn begin(&mut self) -> Result<Arc<TransactionId>> {
        self.transactions += 1;
        let local =
            LocalTransactionId { value: self.transactions, connection_id: Some(self.connection.clone()) };
        let id = Arc::new(TransactionId::Local(local));
        self.step(&id, TransactionInfo::BEGIN)?;
        Ok(id)
    }

    /// Takes a step of a transaction, and waits until it is taken.
    pub fn step(&mut self, id: &Arc<TransactionId>, kind: u8) -> Result<Command> {
        let (connection, id) = (self.connection.clone(), id.clone());
        self.call(|command_id| {
            Command::from(TransactionInfo {
                command_id,
                response_required: true,
                connection_id: Some(connection),
                transaction_id: Some(id),
                kind,
            })
        })
    }

    /// The branches that the broker has prepared.
    pub fn recover(&mut self) -> Result<Command> {
        let connection = self.connection.clone();
        self.call(|command_id| {
            Command::from(TransactionInfo {
                command_id,
                response_required: true,
                connection_id: Some(connection),
                transaction_id: None,
                kind: TransactionInfo::RECOVER,
            })
        })
    }

    /// Sends a message. `wait`: until it was taken; else the end of its transaction says whether it was.
    pub fn publish(&mut self, mut message: Message, wait: bool) -> Result<()> {
        message.producer_id = Some(self.producer.clone());
        message.response_required = wait;
        if wait {
            return self
                .call(|command_id| {
                    message.command_id = command_id;
                    Command::Message(Box::new(message))
                })
                .map(drop);
        }
        message.command_id = self.next_command();
        self.send(&Command::Message(Box::new(message)))
    }

    /// A number for a message of its own.
    pub fn next_sequence(&mut self) -> i64 {
        self.sequence += 1;
        self.sequence
    }

    /// Begins to consume, one message at a time. `name`: as this durable subscription.
    pub fn consume(
        &mut self,
        destination: &Arc<Destination>,
        name: Option<&str>,
        selector: Option<&str>,
        no_local: bool,
    ) -> Result<Consumer> {
        self.consumers += 1;
        let id = Arc::new(ConsumerId {
            connection_id: self.connection.value.clone(),
            session_id: SESSION,
            value: self.consumers,
        });
        let consumer = Consumer { id: id.clone(), destination: destination.clone() };
        self.call(|command_id| {
            Command::from(ConsumerInfo {
                command_id,
                response_required: true,
                consumer_id: Some(id),
                destination: Some(destination.clone()),
                prefetch_size: 0,
                selector: selector.map(Into::into),
                subscription_name: name.map(Into::into),
                no_local,
                ..ConsumerInfo::default()
            })
        })?;
        Ok(consumer)
    }

    /// The next message, if there is one.
    pub fn pull(&mut self, consumer: &Consumer) -> Result<Option<Box<Message>>> {
        let command_id = self.next_command();
        self.send(&Command::from(MessagePull {
            command_id,
            consumer_id: Some(consumer.id.clone()),
            destination: Some(consumer.destination.clone()),
            // Not at all.
            timeout: -1,
            ..MessagePull::default()
        }))?;
        loop {
            let dispatch = match self.dispatched.pop_front() {
                Some(dispatch) => dispatch,
                None => match self.receive()? {
                    Command::MessageDispatch(dispatch) => *dispatch,
                    Command::ConnectionError(error) => {
                        return Err(Failure::Gone(format!(": {}", text_of(error.exception.as_deref()))));
                    }
                    _ => continue,
                },
            };
            if dispatch.consumer_id.as_ref() == Some(&consumer.id) {
                return Ok(dispatch.message);
            }
        }
    }

    /// Acknowledges one message, in a transaction or by itself.
    pub fn acknowledge(
        &mut self,
        consumer: &Consumer,
        message: &Message,
        transaction: Option<&Arc<TransactionId>>,
    ) -> Result<()> {
        let (id, transaction) = (message.message_id.clone(), transaction.cloned());
        let ack = |command_id| {
            Command::from(MessageAck {
                command_id,
                response_required: true,
                destination: Some(consumer.destination.clone()),
                transaction_id: transaction,
                consumer_id: Some(consumer.id.clone()),
                ack_type: MessageAck::INDIVIDUAL,
                first_message_id: id.clone(),
                last_message_id: id,
                message_count: 1,
                ..MessageAck::default()
            })
        };
        self.call(ack).map(drop)
    }

    /// Ends a consumer: what it has in hands goes back as if it had never been looked at.
    pub fn end_consumer(&mut self, consumer: Consumer) -> Result<()> {
        self.call(|command_id| {
            Command::from(RemoveInfo {
                command_id,
                response_required: true,
                object_id: Some(ObjectId::Consumer(consumer.id)),
                last_delivered_sequence_id: RemoveInfo::NONE_DELIVERED,
            })
        })
        .map(drop)
    }

    /// Leaves.
    pub fn leave(mut self) -> Result<()> {
        let connection = self.connection.clone();
        self.call(|command_id| {
            Command::from(RemoveInfo {
                command_id,
                response_required: true,
                object_id: Some(ObjectId::Connection(connection)),
                last_delivered_sequence_id: RemoveInfo::NONE_DELIVERED,
            })
        })?;
        let command_id = self.next_command();
        self.send(&Command::from(ShutdownInfo { command_id, response_required: false }))
    }
}

fn text_of(throwable: Option<&sabir_protocol_openwire::codec::Throwable>) -> String {
    match throwable {
        None => "no reason was given".to_owned(),
        Some(throwable) => match &throwable.message {
            Some(message) if !message.is_empty() => message.to_string(),
            _ => throwable.class.to_string(),
        },
    }
}
