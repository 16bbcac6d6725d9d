// SPDX-License-Identifier: Apache-2.0
//! What only protocols ask for that know their clients better than STOMP does: credit that is used or lost, and client
//! ids for one session alone.

use crate::{Client, PATIENCE, serve};
use sabir_server::RunningBroker;
use sabir_server::config::Config;
use std::io::Read;

/// A broker with STOMP at its first listener and letters at its second.
fn start() -> RunningBroker {
    let config = "listeners = [{ uri = \"tcp://127.0.0.1:0\", protocols = [\"stomp\"] },\n\
                  { uri = \"tcp://127.0.0.1:0\", protocols = [\"letters\"] }]\n\
                  store.kind = \"memory\"\n[protocols.letters]\n";
    serve(Config::from_toml(config).unwrap(), crate::registry()).unwrap_or_else(|error| panic!("{error}"))
}

fn expect(client: &mut Client, letters: &str) {
    let mut found = vec![0; letters.len()];
    client.stream.read_exact(&mut found).unwrap();
    assert_eq!(String::from_utf8_lossy(&found), letters);
}

/// All that comes until the link ends.
fn rest(mut client: Client) -> String {
    let mut found = String::new();
    client.stream.read_to_string(&mut found).unwrap();
    found
}

#[test]
fn the_answer_to_a_drain_comes_behind_the_deliveries_that_it_brought() {
    let broker = start();
    let mut letters = Client::connect_to(&broker, 1);
    letters.send("cl");
    expect(&mut letters, "cl");
    let mut stomp = Client::logged_in(&broker);
    for id in ["1", "2", "3"] {
        stomp.send(&format!("SEND\ndestination:/queue/letters\nreceipt:{id}\n\nx\0"));
        stomp.receipt(id);
    }
    letters.send("d");
    expect(&mut letters, "mmd");
    // Several at once: each has its own deliveries before it.
    letters.send("ddd");
    expect(&mut letters, "mddd");
    assert_eq!(broker.shutdown(PATIENCE), None);
}

#[test]
fn a_log_in_with_a_client_id_that_is_taken_is_refused_and_told_by_whom() {
    let broker = start();
    let mut first = Client::connect_to(&broker, 1);
    first.send("e");
    expect(&mut first, "e");
    let mut second = Client::connect_to(&broker, 1);
    second.send("el");
    let told = rest(second);
    assert!(told.starts_with("e!the client id \"only\" is in use by the connection "), "{told}");
    // The first one has noticed nothing.
    first.send("l");
    expect(&mut first, "l");
}

#[test]
fn whoever_takes_a_client_id_over_ends_the_link_that_had_it() {
    let broker = start();
    let mut first = Client::connect_to(&broker, 1);
    first.send("es");
    expect(&mut first, "es");
    let mut second = Client::connect_to(&broker, 1);
    second.send("ts");
    expect(&mut second, "ts");
    let told = rest(first);
    assert!(told.starts_with("#the client id \"only\" was taken over by the connection "), "{told}");
    let mut stomp = Client::logged_in(&broker);
    stomp.send("SEND\ndestination:/queue/letters\nreceipt:1\n\nx\0");
    stomp.receipt("1");
    expect(&mut second, "m");
    // The end of the old link has freed nothing: the client id is the new session's.
    let mut third = Client::connect_to(&broker, 1);
    third.send("e");
    assert!(rest(third).starts_with("e!the client id"));
}
