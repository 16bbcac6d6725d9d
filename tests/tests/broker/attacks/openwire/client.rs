// SPDX-License-Identifier: Apache-2.0
//! A raw OpenWire client: it says what it is told to, whatever that leads to.

use bytes::Bytes;
use sabir_protocol_openwire::codec::map::Value;
use sabir_protocol_openwire::codec::{
    Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo, DataStructure, Decoder, Destination,
    DestinationInfo, DestinationKind, Encoder, Framed, KeepAliveInfo, LocalTransactionId, Message, MessageId,
    MessageKind, Options, ProducerId, ProducerInfo, SessionId, SessionInfo, Throwable, TransactionId,
    TransactionInfo, WireFormatInfo,
};
use sabir_tests::process::Broker;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longer than any answer takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(30);

/// How frames look.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    pub version: i32,
    pub tight: bool,
    pub cache: bool,
    /// What the client calls silence.
    pub inactivity_ms: i64,
}

impl Wire {
    /// Every field in its place and nothing cached: as frames are easiest to write by hand.
    pub const LOOSE: Wire = Wire { version: 12, tight: false, cache: false, inactivity_ms: 0 };
    /// As Java's client speaks.
    pub const TIGHT: Wire = Wire { version: 12, tight: true, cache: true, inactivity_ms: 0 };

    /// The first frame.
    pub fn info(self) -> WireFormatInfo {
        let mut info = WireFormatInfo { version: self.version, ..WireFormatInfo::preferred() };
        info.set("TightEncodingEnabled", Value::Boolean(self.tight));
        info.set("CacheEnabled", Value::Boolean(self.cache));
        info.set("MaxInactivityDuration", Value::Long(self.inactivity_ms));
        info
    }
}

/// What the broker has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The command that it answers; none: it came as `ConnectionError`.
    pub command: Option<i32>,
    pub class: String,
    pub text: String,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    encoder: Encoder,
    decoder: Decoder,
    commands: i32,
    /// What came while an answer was waited for.
    passed: VecDeque<Command>,
    /// The id of the connection.
    pub connection: Arc<ConnectionId>,
}

impl Client {
    /// Connects, and says nothing.
    pub fn link(broker: &Broker) -> Client {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let stream = TcpStream::connect(broker.address).expect("the broker is there");
        stream.set_nodelay(true).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Client {
            stream,
            input: Vec::new(),
            encoder: Encoder::new(Options::initial()),
            decoder: Decoder::new(Options::initial()),
            commands: 0,
            passed: VecDeque::new(),
            connection: Arc::new(ConnectionId { value: format!("ID:attack-{number}:1").into() }),
        }
    }

    /// Connects and agrees on how frames look.
    pub fn negotiated(broker: &Broker, wire: Wire) -> Client {
        let mut client = Client::link(broker);
        let ours = wire.info();
        client.send(Command::WireFormatInfo(Box::new(ours.clone()))).expect("a living connection");
        let Command::WireFormatInfo(theirs) = client.receive() else { panic!("no WireFormatInfo") };
        let options = Options::negotiate(&ours, &theirs).expect("both speak something");
        client.encoder.renegotiate(options);
        client.decoder.renegotiate(options);
        assert!(matches!(client.receive(), Command::BrokerInfo(_)));
        client
    }

    /// Connects and logs in, without a name, and begins session 1.
    pub fn log_in(broker: &Broker, wire: Wire) -> Client {
        let mut client = Client::negotiated(broker, wire);
        client.introduce(None, None).expect("everybody may log in");
        client
    }

    /// Connects and logs in as this user, whose password is the name, and begins session 1.
    pub fn log_in_as(broker: &Broker, user: &str) -> Client {
        let mut client = Client::negotiated(broker, Wire::TIGHT);
        client.introduce(Some(user), Some(user)).expect("the password is right");
        client
    }

    /// Logs in, and begins session 1.
    pub fn introduce(&mut self, user: Option<&str>, password: Option<&str>) -> Result<(), Refusal> {
        let info = self.connection_info(user, password);
        self.ask(Command::ConnectionInfo(Box::new(info)))?;
        self.session(1)
    }

    /// How a client introduces itself.
    pub fn connection_info(&self, user: Option<&str>, password: Option<&str>) -> ConnectionInfo {
        ConnectionInfo {
            connection_id: Some(self.connection.clone()),
            user_name: user.map(Into::into),
            password: password.map(Into::into),
            client_master: true,
            ..ConnectionInfo::default()
        }
    }

    /// Writes bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The command as a frame, with the next number, which is answered too.
    pub fn frame(&mut self, mut command: Command) -> (i32, Vec<u8>) {
        self.commands += 1;
        command.set_command_id(self.commands);
        let mut bytes = Vec::new();
        self.encoder.encode(&command, &mut bytes).expect("a command that can be written");
        (self.commands, bytes)
    }

    /// Sends a command.
    pub fn send(&mut self, command: Command) -> io::Result<i32> {
        let (number, bytes) = self.frame(command);
        self.write(&bytes).map(|()| number)
    }

    /// Sends a command and waits for its answer; everything else that comes before can be received later.
    pub fn ask(&mut self, mut command: Command) -> Result<(), Refusal> {
        want_response(&mut command);
        let number = self.send(command).expect("a living connection");
        loop {
            let received = self.read_within(PATIENCE).expect("a living connection");
            match received.expect("the broker answers") {
                Command::Response(response) if response.correlation_id == number => return Ok(()),
                Command::DataArrayResponse(response) if response.correlation_id == number => return Ok(()),
                Command::IntegerResponse(response) if response.correlation_id == number => return Ok(()),
                Command::ExceptionResponse(response) if response.correlation_id == number => {
                    return Err(refusal_of(Some(number), response.exception));
                }
                other => self.passed.push_back(other),
            }
        }
    }

    /// The next command, within the usual patience.
    pub fn receive(&mut self) -> Command {
        let received = self.receive_within(PATIENCE).expect("a living connection");
        received.expect("the broker says something")
    }

    /// The next message that a consumer is sent; everything else is passed over.
    pub fn receive_message(&mut self) -> Message {
        loop {
            if let Command::MessageDispatch(dispatch) = self.receive()
                && let Some(message) = dispatch.message
            {
                return *message;
            }
        }
    }

    /// The next command; `None` when none comes in time.
    pub fn receive_within(&mut self, patience: Duration) -> io::Result<Option<Command>> {
        match self.passed.pop_front() {
            Some(command) => Ok(Some(command)),
            None => self.read_within(patience),
        }
    }

    /// The next command from the link.
    fn read_within(&mut self, patience: Duration) -> io::Result<Option<Command>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Framed::Whole { body, consumed } = self.decoder.frame(&self.input).expect("a frame") {
                let frame = Bytes::copy_from_slice(&self.input[body]);
                let mut command = self.decoder.decode(&frame).expect("a command");
                if let Command::MessageDispatch(dispatch) = &mut command
                    && let Some(message) = &mut dispatch.message
                {
                    message.detach(&frame);
                }
                self.input.drain(..consumed);
                return Ok(Some(command));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What was refused next; everything else is passed over. The end of the connection is no refusal.
    pub fn refusal(&mut self, patience: Duration) -> io::Result<Option<Refusal>> {
        let deadline = Instant::now() + patience;
        loop {
            match self.receive_within(deadline.saturating_duration_since(Instant::now()))? {
                Some(Command::ExceptionResponse(response)) => {
                    return Ok(Some(refusal_of(Some(response.correlation_id), response.exception)));
                }
                Some(Command::ConnectionError(error)) => return Ok(Some(refusal_of(None, error.exception))),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Whether the connection goes on: it asks for a sign of life and gets one.
    pub fn is_alive(&mut self) -> bool {
        let sign = KeepAliveInfo { response_required: true, ..KeepAliveInfo::default() };
        if self.send(Command::KeepAliveInfo(sign)).is_err() {
            return false;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.receive_within(deadline.saturating_duration_since(Instant::now())) {
                Ok(Some(Command::KeepAliveInfo(_))) => return true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return false,
            }
        }
    }

    /// Begins a session.
    pub fn session(&mut self, value: i64) -> Result<(), Refusal> {
        let id = SessionId { connection_id: self.connection.value.clone(), value };
        self.ask(Command::SessionInfo(SessionInfo {
            session_id: Some(Arc::new(id)),
            ..SessionInfo::default()
        }))
    }

    /// A consumer's id in session 1.
    pub fn consumer_id(&self, value: i64) -> Arc<ConsumerId> {
        Arc::new(ConsumerId { connection_id: self.connection.value.clone(), session_id: 1, value })
    }

    /// A consumer in session 1.
    pub fn consumer_info(
        &self,
        value: i64,
        kind: DestinationKind,
        name: &str,
        prefetch_size: i32,
    ) -> ConsumerInfo {
        ConsumerInfo {
            consumer_id: Some(self.consumer_id(value)),
            destination: Some(Arc::new(Destination::new(kind, name))),
            prefetch_size,
            ..ConsumerInfo::default()
        }
    }

    /// Begins a consumer in session 1.
    pub fn consume(
        &mut self,
        value: i64,
        kind: DestinationKind,
        name: &str,
        prefetch: i32,
    ) -> Result<(), Refusal> {
        let info = self.consumer_info(value, kind, name, prefetch);
        self.ask(Command::ConsumerInfo(Box::new(info)))
    }

    /// A producer's id in session 1.
    pub fn producer_id(&self, value: i64) -> Arc<ProducerId> {
        Arc::new(ProducerId { connection_id: self.connection.value.clone(), value, session_id: 1 })
    }

    /// Begins a producer in session 1; without a destination it says with each message where that goes.
    pub fn produce(&mut self, value: i64, to: Option<(DestinationKind, &str)>) -> Result<(), Refusal> {
        let info = ProducerInfo {
            producer_id: Some(self.producer_id(value)),
            destination: to.map(|(kind, name)| Arc::new(Destination::new(kind, name))),
            ..ProducerInfo::default()
        };
        self.ask(Command::ProducerInfo(info))
    }

    /// A text, from producer 1.
    pub fn text(&mut self, kind: DestinationKind, name: &str, text: &str) -> Message {
        let mut content = (text.len() as u32).to_be_bytes().to_vec();
        content.extend_from_slice(text.as_bytes());
        self.message(MessageKind::Text, kind, name, content)
    }

    /// A message with this content, from producer 1.
    pub fn message(
        &mut self,
        body: MessageKind,
        kind: DestinationKind,
        name: &str,
        content: Vec<u8>,
    ) -> Message {
        let producer = self.producer_id(1);
        Message {
            kind: body,
            producer_id: Some(producer.clone()),
            destination: Some(Arc::new(Destination::new(kind, name))),
            message_id: Some(MessageId {
                producer_id: Some(producer),
                producer_sequence_id: i64::from(self.commands) + 1,
                ..MessageId::default()
            }),
            persistent: true,
            priority: 4,
            content: Some(content.into()),
            ..Message::default()
        }
    }

    /// Sends a text and waits until the broker has it.
    pub fn publish(&mut self, kind: DestinationKind, name: &str, text: &str) -> Result<(), Refusal> {
        let message = self.text(kind, name, text);
        self.ask(Command::Message(Box::new(message)))
    }

    /// Makes or removes a destination.
    pub fn destination(&mut self, operation: u8, kind: DestinationKind, name: &str) -> Result<(), Refusal> {
        self.ask(Command::DestinationInfo(DestinationInfo {
            connection_id: Some(self.connection.clone()),
            destination: Some(Arc::new(Destination::new(kind, name))),
            operation_type: operation,
            ..DestinationInfo::default()
        }))
    }

    /// A local transaction's id.
    pub fn transaction_id(&self, value: i64) -> Arc<TransactionId> {
        let local = LocalTransactionId { value, connection_id: Some(self.connection.clone()) };
        Arc::new(TransactionId::Local(local))
    }

    /// A step of a distributed transaction.
    pub fn step(&mut self, id: &Arc<TransactionId>, kind: u8) -> Result<(), Refusal> {
        self.ask(Command::TransactionInfo(TransactionInfo {
            connection_id: Some(self.connection.clone()),
            transaction_id: Some(id.clone()),
            kind,
            ..TransactionInfo::default()
        }))
    }

    /// The distributed transactions that are prepared, as far as this user may see them.
    pub fn recover(&mut self) -> Vec<DataStructure> {
        let recover = TransactionInfo {
            connection_id: Some(self.connection.clone()),
            kind: TransactionInfo::RECOVER,
            response_required: true,
            ..TransactionInfo::default()
        };
        let number = self.send(Command::TransactionInfo(recover)).expect("a living connection");
        loop {
            match self.receive() {
                Command::DataArrayResponse(response) if response.correlation_id == number => {
                    return response.data.unwrap_or_default();
                }
                Command::ExceptionResponse(response) => panic!("{response:?}"),
                _ => {}
            }
        }
    }

    /// The socket, for tests that treat it badly.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// Makes a command one that is answered.
fn want_response(command: &mut Command) {
    let wants = match command {
        Command::ConnectionInfo(info) => &mut info.response_required,
        Command::SessionInfo(info) => &mut info.response_required,
        Command::ConsumerInfo(info) => &mut info.response_required,
        Command::ProducerInfo(info) => &mut info.response_required,
        Command::TransactionInfo(info) => &mut info.response_required,
        Command::DestinationInfo(info) => &mut info.response_required,
        Command::RemoveInfo(info) => &mut info.response_required,
        Command::RemoveSubscriptionInfo(info) => &mut info.response_required,
        Command::Message(message) => &mut message.response_required,
        Command::MessageAck(ack) => &mut ack.response_required,
        Command::MessagePull(pull) => &mut pull.response_required,
        Command::ConsumerControl(control) => &mut control.response_required,
        Command::ControlCommand(control) => &mut control.response_required,
        Command::BrokerInfo(info) => &mut info.response_required,
        other => panic!("no test waits for an answer to {}", other.name()),
    };
    *wants = true;
}

fn refusal_of(command: Option<i32>, exception: Option<Box<Throwable>>) -> Refusal {
    let exception = exception.expect("a refusal says why");
    Refusal {
        command,
        class: exception.class.to_string(),
        text: exception.message.as_deref().unwrap_or_default().to_owned(),
    }
}
