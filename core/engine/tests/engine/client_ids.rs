// SPDX-License-Identifier: Apache-2.0
//! What sessions know of each other: a client id for one of them alone, refused to others and taken over by the same user;
//! and the names of their temporary destinations.

use crate::broker::{Broker, subscribe};
use sabir_engine::{Client, Config, Input, Limits};
use sabir_model::verb::{Answer, Query, Reason, SessionId, Subscribe, Verb};
use sabir_model::{Destination, fields};

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

/// How many there are, and the names that are told.
fn list(broker: &mut Broker, session: u64, pattern: &str) -> (String, Vec<String>) {
    let query = Query::List(Destination::parse(pattern).unwrap());
    broker.send(session, 0, 0, Verb::Query(Box::new(query)));
    let reply = broker.replies.get_mut(&session).unwrap().pop_back().unwrap();
    let Answer::Told(told) = reply.answer else { panic!("{reply:?}") };
    let names = fields::iter(&told.fields).map(|one| {
        let (number, value) = one.unwrap();
        assert_eq!(number, fields::number::DESTINATION, "names alone are told");
        String::from_utf8(value.to_vec()).unwrap()
    });
    (told.text, names.collect())
}

#[test]
fn the_temporary_destinations_of_all_sessions_of_the_virtual_host_are_listed_by_name() {
    let limits = Limits { max_listed: 3, ..Limits::default() };
    let mut broker =
        Broker::with(Config { virtual_hosts: vec!["v".to_owned()], limits, ..Config::default() });
    broker.open(1);
    broker.open(2);
    let elsewhere = Client { virtual_host: "v".to_owned(), ..Client::default() };
    broker.input(Input::Open { session: SessionId(3), client: elsewhere });
    for (session, name) in [(1, "queue://a.1"), (2, "queue://a.2"), (3, "queue://a.3"), (1, "topic://t")] {
        broker.declare(session, &format!("temp-{name}"));
    }
    broker.declare(1, "queue://plain");
    let both = ["temp-queue://a.1", "temp-queue://a.2"].map(str::to_owned).to_vec();
    assert_eq!(list(&mut broker, 2, "temp-queue://#"), ("2".to_owned(), both.clone()));
    assert_eq!(list(&mut broker, 1, "temp-queue://*.2"), ("1".to_owned(), both[1..].to_vec()));
    assert_eq!(list(&mut broker, 2, "temp-topic://#"), ("1".to_owned(), vec!["temp-topic://t".to_owned()]));
    for more in ["b", "c"] {
        broker.declare(2, &format!("temp-queue://{more}"));
    }
    let (count, names) = list(&mut broker, 1, "temp-queue://#");
    assert_eq!((&*count, names.len()), ("4", 3));
    broker.close(2);
    assert_eq!(list(&mut broker, 1, "temp-queue://#").0, "1");
}
