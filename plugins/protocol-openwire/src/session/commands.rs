// SPDX-License-Identifier: Apache-2.0
//! Which command is whose, and how a peer is told that one was refused.

use super::problem::{Exception, Problem, class};
use super::{Core, FrameAt, Phase, Step};
use crate::codec::{Command, ConnectionError, ExceptionResponse};
use sabir_sdk::protocol::{Now, Out};

impl Core {
    /// Does what a command says.
    pub fn on_command(
        &mut self,
        now: Now,
        command: &Command,
        frame: FrameAt<'_>,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        if !self.may_come(command) {
            return Err(self.out_of_turn(command));
        }
        if self.phase == Phase::Negotiated {
            self.login_commands += 1;
            let max = self.shared.settings.max_login_commands;
            if self.login_commands > max {
                let text = format!("more commands before log-in than max_login_commands, which is {max}");
                return Err(Exception::new(class::IO, text).fatal());
            }
        }
        match command {
            Command::Message(message) => self.on_message(now, message, frame, out),
            Command::MessageAck(ack) => self.on_message_ack(ack, out),
            Command::WireFormatInfo(info) => self.on_wire_format(info),
            Command::KeepAliveInfo(info) => {
                if info.response_required {
                    let answer = crate::codec::KeepAliveInfo { response_required: false, ..info.clone() };
                    self.output.push(Command::KeepAliveInfo(answer));
                }
                Ok(Step::Done)
            }
            Command::ConnectionInfo(info) => self.on_connection_info(info, out),
            Command::SessionInfo(info) => self.on_session_info(info, out),
            Command::ConsumerInfo(info) => self.on_consumer_info(info, out),
            Command::ProducerInfo(info) => self.on_producer_info(info, out),
            Command::RemoveInfo(info) => self.on_remove_info(info, out),
            Command::TransactionInfo(info) => self.on_transaction_info(info, out),
            Command::DestinationInfo(info) => self.on_destination_info(info, out),
            Command::RemoveSubscriptionInfo(info) => self.on_remove_subscription(info, out),
            Command::MessagePull(pull) => self.on_message_pull(now.monotonic_ms, pull, out),
            Command::ConsumerControl(control) => self.on_consumer_control(control, out),
            Command::ShutdownInfo(_) => self.on_shutdown(out),
            Command::Response(response) => self.on_forward_answered(response.correlation_id, None, out),
            Command::ExceptionResponse(response) => {
                self.on_forward_answered(response.correlation_id, response.exception.as_deref(), out)
            }
            other => self.on_other(other),
        }
    }

    /// Commands without effect here, and those of brokers among themselves.
    fn on_other(&mut self, command: &Command) -> Result<Step, Problem> {
        match command {
            // How a client that follows several brokers introduces itself, and what bridges say of themselves: nothing
            // here depends on it.
            Command::ConnectionControl(_)
            | Command::BrokerSubscriptionInfo(_)
            | Command::FlushCommand(_)
            | Command::ConnectionError(_)
            | Command::ProducerAck(_)
            | Command::DataResponse(_)
            | Command::DataArrayResponse(_)
            | Command::IntegerResponse(_) => {}
            Command::BrokerInfo(info) => {
                let max = self.shared.settings.max_broker_infos;
                self.broker_infos += 1;
                if self.broker_infos > max {
                    let text =
                        format!("more introductions as a broker than max_broker_infos, which is {max}");
                    return Err(Exception::new(class::IO, text).fatal());
                }
                self.is_bridge |= info.network_connection;
                if info.network_connection && info.duplex_connection {
                    self.on_duplex(info)?;
                }
            }
            Command::ControlCommand(_) => {
                return Err(Problem::unsupported("this broker takes no orders from clients"));
            }
            Command::MessageDispatch(_) | Command::MessageDispatchNotification(_) => {
                return Err(Problem::unsupported(
                    "this broker is nobody's slave, and consumes nothing itself",
                ));
            }
            _ => {
                let text = "pieces and repetitions of frames are for datagrams, which this link has not";
                return Err(Exception::new(class::IO, text).fatal());
            }
        }
        Ok(self.respond_to(command.command_id(), command.response_required()))
    }

    /// Whether a command may come now.
    fn may_come(&self, command: &Command) -> bool {
        match self.phase {
            Phase::Opened => matches!(command, Command::WireFormatInfo(_)),
            // Clients that follow several brokers, and bridges, introduce themselves before they log in.
            Phase::Negotiated => matches!(
                command,
                Command::WireFormatInfo(_)
                    | Command::ConnectionInfo(_)
                    | Command::KeepAliveInfo(_)
                    | Command::ShutdownInfo(_)
                    | Command::ConnectionControl(_)
                    | Command::BrokerInfo(_)
            ),
            Phase::Connecting(_) | Phase::Connected => true,
            // What crosses the farewell comes too late.
            Phase::Leaving | Phase::Left | Phase::Closed => {
                matches!(command, Command::ShutdownInfo(_) | Command::KeepAliveInfo(_))
            }
        }
    }

    fn out_of_turn(&self, command: &Command) -> Problem {
        let name = command.name();
        match self.phase {
            Phase::Opened => {
                let text = format!("{name} came before WireFormatInfo");
                Exception::new(class::IO, text).fatal()
            }
            Phase::Negotiated => {
                Exception::new(class::SECURITY, format!("{name} came before log-in")).fatal()
            }
            _ => Problem::state(format!("{name} came after the connection's end")),
        }
    }

    /// Tells the peer that a command was not carried out.
    pub fn tell(&mut self, command: &Command, problem: Problem, out: &mut Out<'_>) {
        let (exception, fatal) = match problem {
            Problem::Refused(exception) => (exception, false),
            Problem::Fatal(exception) => (exception, true),
        };
        if command.response_required() {
            self.refuse(Some(command.command_id()), &exception);
            if fatal {
                crate::log::refused(&self.shared.host, self.is_logged_in(), &self.name, exception.text());
                self.close(out);
            }
        } else if fatal {
            self.fail(exception, out);
        } else {
            // Whoever waits for no response learns by the commit that something is missing.
            let transaction = match command {
                Command::Message(message) => message.transaction_id.as_ref(),
                Command::MessageAck(ack) => ack.transaction_id.as_ref(),
                _ => None,
            };
            if let Some(id) = transaction {
                self.transactions.fail(id, exception.text());
            }
            self.refuse(None, &exception);
        }
    }

    /// Tells the peer that something was refused: a command that waits for its response, or something else.
    pub fn refuse(&mut self, command_id: Option<i32>, exception: &Exception) {
        let throwable = Some(exception.throwable());
        match command_id {
            Some(correlation_id) => self.output.push(ExceptionResponse {
                correlation_id,
                exception: throwable,
                ..ExceptionResponse::default()
            }),
            None => self.output.push(ConnectionError {
                exception: throwable,
                connection_id: self.connection.clone(),
                ..ConnectionError::default()
            }),
        }
    }

    /// The bytes themselves are wrong: nothing that follows can be read.
    pub fn broken(&mut self, problem: Problem, out: &mut Out<'_>) {
        let (Problem::Fatal(exception) | Problem::Refused(exception)) = problem;
        self.fail(exception, out);
    }
}
