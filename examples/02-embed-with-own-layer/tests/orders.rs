// SPDX-License-Identifier: Apache-2.0
//! A client that sends orders with and without a correlation id.

use sabir_server::RunningBroker;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A client that speaks just enough STOMP.
struct Client(TcpStream);

impl Client {
    fn connect(broker: &RunningBroker) -> Client {
        let stream = TcpStream::connect(&broker.local_addresses()[0].address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut client = Client(stream);
        let connected = client.exchange("CONNECT\naccept-version:1.2\nhost:/\n\n\0");
        assert!(connected.starts_with("CONNECTED\n"), "{connected}");
        client
    }

    /// Sends one frame and reads one.
    fn exchange(&mut self, frame: &str) -> String {
        self.0.write_all(frame.as_bytes()).unwrap();
        self.read_frame()
    }

    fn read_frame(&mut self) -> String {
        let mut frame = Vec::new();
        let mut byte = [0];
        loop {
            self.0.read_exact(&mut byte).unwrap();
            match byte {
                [0] => return String::from_utf8(frame).unwrap(),
                // Ends of lines between frames.
                [b'\n' | b'\r'] if frame.is_empty() => {}
                [other] => frame.push(other),
            }
        }
    }
}

fn send(destination: &str, headers: &str) -> String {
    format!("SEND\ndestination:{destination}\nreceipt:r\n{headers}\nhello\0")
}

#[test]
fn an_order_without_a_correlation_id_is_refused_and_everything_else_passes() {
    let broker = sabir_example_embed::start().unwrap();
    let mut client = Client::connect(&broker);
    let answer = client.exchange(&send("/queue/orders.eu", "correlation-id:7\n"));
    assert!(answer.starts_with("RECEIPT\n"), "{answer}");
    let answer = client.exchange(&send("/queue/letters", ""));
    assert!(answer.starts_with("RECEIPT\n"), "{answer}");
    let answer = client.exchange(&send("/queue/orders.eu", ""));
    assert!(answer.starts_with("ERROR\n") && answer.contains("an order needs a correlation id"), "{answer}");

    // What was refused is not there; what was let through is.
    let mut consumer = Client::connect(&broker);
    let message = consumer.exchange("SUBSCRIBE\nid:0\ndestination:/queue/orders.eu\nack:auto\n\n\0");
    assert!(message.starts_with("MESSAGE\n") && message.contains("correlation-id:7\n"), "{message}");
    let receipt = consumer.exchange("DISCONNECT\nreceipt:bye\n\n\0");
    assert!(receipt.starts_with("RECEIPT\n"), "{receipt}");
    assert_eq!(broker.shutdown(Duration::from_secs(5)), None);
}
