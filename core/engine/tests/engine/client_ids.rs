// SPDX-License-Identifier: Apache-2.0
//! A client id for one session alone: refused to others, and taken over by the same user.

use crate::broker::{Broker, subscribe};
use sabir_engine::{Client, Config, Input};
use sabir_model::verb::{Reason, SessionId, Subscribe};

fn client(id: &str, user: &str, exclusive: bool, take_over: bool) -> Client {
    Client {
        client_id: Some(id.to_owned()),
        user: Some(user.to_owned()),
        connection_id: format!("connection-of-{user}"),
        exclusive_client_id: exclusive,
        take_over,
        ..Client::default()
    }
}

/// Who was ended or refused, and why.
fn open(broker: &mut Broker, session: u64, client: Client) -> Vec<(u64, Reason, String)> {
    broker.input(Input::Open { session: SessionId(session), client });
    let closes = broker.out.closes.drain(..);
    closes
        .map(|(session, refusal)| {
            assert!(refusal.fatal);
            (session.0, refusal.reason, refusal.text)
        })
        .collect()
}

#[test]
fn a_second_session_is_refused_and_told_who_has_the_client_id_until_that_goes() {
    let mut broker = Broker::new();
    assert_eq!(open(&mut broker, 1, client("c", "ann", true, false)), []);
    let refused = open(&mut broker, 2, client("c", "ann", true, false));
    let [(2, Reason::Conflict, text)] = &refused[..] else { panic!("{refused:?}") };
    assert!(text.contains("client id \"c\"") && text.contains("connection-of-ann"), "{text}");
    assert_eq!(broker.engine.stats().sessions, 1);
    assert_eq!(open(&mut broker, 3, client("other", "ann", true, false)), []);
    broker.close(1);
    assert_eq!(open(&mut broker, 4, client("c", "ann", true, false)), []);
}

#[test]
fn whoever_does_not_ask_for_it_alone_shares_it_but_keeps_it_from_whoever_does() {
    let mut broker = Broker::new();
    for session in 1..=3 {
        assert_eq!(open(&mut broker, session, client("c", "ann", false, false)), []);
    }
    assert_eq!(open(&mut broker, 4, client("c", "ann", true, false)).len(), 1);
    broker.close(1);
    broker.close(3);
    assert_eq!(open(&mut broker, 5, client("c", "ann", true, false)).len(), 1);
    broker.close(2);
    assert_eq!(open(&mut broker, 6, client("c", "ann", true, false)), []);
}

#[test]
fn other_virtual_hosts_have_client_ids_of_their_own() {
    let mut broker = Broker::with(Config { virtual_hosts: vec!["v".to_owned()], ..Config::default() });
    assert_eq!(open(&mut broker, 1, client("c", "ann", true, false)), []);
    let elsewhere = Client { virtual_host: "v".to_owned(), ..client("c", "ann", true, false) };
    assert_eq!(open(&mut broker, 2, elsewhere), []);
}

#[test]
fn a_client_that_comes_back_ends_its_old_session_and_has_all_that_it_had() {
    let mut broker = Broker::new();
    let durable =
        |credit| Subscribe { name: Some("s".to_owned()), durable: true, credit, ..subscribe(&["topic://t"]) };
    assert_eq!(open(&mut broker, 1, client("c", "ann", true, false)), []);
    broker.subscribe_with(1, 1, durable(2));
    broker.open(9);
    broker.produce(9, 1, &["topic://t"]);
    broker.publish_all(9, 1, ["1", "2", "3"]);
    assert_eq!(broker.texts(1), ["1", "2"]);

    let ended = open(&mut broker, 2, client("c", "ann", true, true));
    let [(1, Reason::Conflict, text)] = &ended[..] else { panic!("{ended:?}") };
    assert!(text.contains("taken over by the connection connection-of-ann"), "{text}");
    broker.subscribe_with(2, 1, durable(10));
    let got = broker.got(2);
    assert_eq!(got.iter().map(|one| &*one.text).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(got.iter().map(|one| one.redelivered).collect::<Vec<_>>(), [true, true, false]);
    // The server hears of the old link's end later; that must not touch the new session.
    broker.close(1);
    assert_eq!(open(&mut broker, 3, client("c", "ann", true, false)).len(), 1);
    broker.accept(2, &got[0]);
}

#[test]
fn nobody_takes_over_what_belongs_to_another_user() {
    let mut broker = Broker::new();
    assert_eq!(open(&mut broker, 1, client("c", "ann", true, false)), []);
    let refused = open(&mut broker, 2, client("c", "bob", true, true));
    let [(2, Reason::Conflict, text)] = &refused[..] else { panic!("{refused:?}") };
    assert!(text.contains("another user"), "{text}");
    let nobody = Client { user: None, ..client("c", "", true, true) };
    assert_eq!(open(&mut broker, 3, nobody)[0].0, 3);
    // Not even one of several holders is ended when another must not be.
    assert_eq!(open(&mut broker, 4, client("c", "bob", false, false)), []);
    assert_eq!(open(&mut broker, 5, client("c", "ann", true, true))[0].0, 5);
    assert_eq!(broker.engine.stats().sessions, 2);
}
