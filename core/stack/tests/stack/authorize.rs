// SPDX-License-Identifier: Apache-2.0
//! Who may do what with which destinations.

use crate::support::*;
use sabir_model::message::Fixed;
use sabir_model::verb::{Bind, Delete, Query, Reason, Verb};
use sabir_model::{Branch, BranchAct, BranchStep};
use sabir_stack::policy::{Operation, Rule, Rules};
use sabir_stack::verb_kind::VerbKind;
use sabir_stack::{Authentication, Limits, Policy};

fn policy(texts: &[&str]) -> Policy {
    let users = users(&[("ann", &["sales"]), ("bob", &[]), ("root", &["admins"])]);
    Policy::new(users, rules(texts), Limits::default())
}

fn broker() -> Broker {
    Broker::new(policy(&[
        "queue://ORDERS.# read,write ann",
        "queue://PUBLIC.* read *",
        "topic://PRICES.# read @sales",
        "topic://PRICES.EU.* write bob",
        "queue://# read,write,admin @admins",
        "exchange://E read,write,admin @admins",
        "exchange://E read bob",
        "queue://BOB write bob",
    ]))
}

const FORBIDDEN: [Refused; 1] = [(1, Reason::Forbidden, false)];

#[test]
fn a_rule_allows_its_users_and_groups_what_it_names_and_nothing_else() {
    let cases: [(&str, Verb, bool); 18] = [
        ("ann", attach("queue://ORDERS.EU"), true),
        ("ann", attach("queue://ORDERS"), true),
        ("ann", subscribe("queue://ORDERS.EU"), true),
        ("ann", declare("queue://ORDERS.EU"), false),
        ("ann", delete("queue://ORDERS.EU"), false),
        ("ann", attach("topic://ORDERS.EU"), false),
        ("ann", attach("queue://OTHER"), false),
        ("ann", subscribe("topic://PRICES.EU.X"), true),
        ("ann", attach("topic://PRICES.EU.X"), false),
        ("bob", attach("topic://PRICES.EU.X"), true),
        ("bob", attach("topic://PRICES.EU"), false),
        ("bob", subscribe("topic://PRICES.EU.X"), false),
        ("bob", attach("queue://ORDERS.EU"), false),
        ("bob", subscribe("queue://PUBLIC.X"), true),
        ("bob", subscribe("queue://PUBLIC.X.Y"), false),
        ("root", declare("queue://ANY"), true),
        ("root", delete("queue://ANY"), true),
        ("root", declare("topic://ANY"), false),
    ];
    let broker = broker();
    for (user, verb, allowed) in cases {
        let mut client = broker.logged_in(user);
        let expected = if allowed { Vec::new() } else { FORBIDDEN.to_vec() };
        assert_eq!(client.ask(verb.clone()), expected, "{user}: {verb:?}");
        assert_eq!(client.reached().len(), usize::from(allowed));
    }
}

#[test]
fn a_wildcard_is_allowed_only_where_all_that_it_can_match_is() {
    let cases = [
        ("ann", "queue://ORDERS.*", true),
        ("ann", "queue://ORDERS.#", true),
        ("ann", "queue://ORDERS.EU.#", true),
        ("ann", "queue://#", false),
        ("ann", "queue://*.EU", false),
        ("ann", "queue://ORDERS*", false),
        ("ann", "topic://PRICES.*.X", true),
        ("bob", "queue://PUBLIC.*", true),
        ("bob", "queue://PUBLIC.#", false),
        ("bob", "queue://*", false),
    ];
    let broker = broker();
    for (user, name, allowed) in cases {
        let refusals = broker.logged_in(user).ask(subscribe(name));
        assert_eq!(refusals.is_empty(), allowed, "{user}: {name}");
    }
}

#[test]
fn every_part_of_a_composite_must_be_allowed() {
    let mut ann = broker().logged_in("ann");
    assert_eq!(ann.ask(attach("queue://ORDERS.A,queue://ORDERS.B")), []);
    assert_eq!(ann.ask(attach("queue://ORDERS.A,queue://SECRET")), FORBIDDEN);
    assert_eq!(ann.ask(subscribe("queue://ORDERS.A,topic://PRICES.X")), []);
    assert_eq!(ann.ask(subscribe("queue://SECRET,queue://ORDERS.A")), FORBIDDEN);
}

#[test]
fn with_one_rule_what_no_rule_names_is_refused_and_without_any_all_is_allowed() {
    let one = Broker::new(policy(&["queue://A read ann"]));
    assert_eq!(one.logged_in("root").ask(subscribe("queue://A")), FORBIDDEN);
    let none = Broker::new(policy(&[]));
    assert_eq!(none.logged_in("bob").ask(declare("queue://A")), []);
}

#[test]
fn rules_for_everybody_hold_for_the_nameless_and_others_do_not() {
    let nameless = Policy::new(
        Authentication::Off,
        rules(&["queue://A read *", "queue://B read ann"]),
        Limits::default(),
    );
    let mut client = Broker::new(nameless).connected();
    assert_eq!(client.ask(subscribe("queue://A")), []);
    assert_eq!(client.ask(subscribe("queue://B")), FORBIDDEN);
}

#[test]
fn a_message_passes_through_a_producer_that_was_allowed_and_through_no_other() {
    let mut ann = broker().logged_in("ann");
    assert_eq!(ann.ask(publish()), [(1, Reason::NotFound, false)]);
    assert_eq!(ann.ask(attach("queue://SECRET")), FORBIDDEN);
    assert_eq!(ann.ask(publish()), [(1, Reason::NotFound, false)]);
    assert_eq!(ann.ask_all(vec![request(1, 5, attach("queue://ORDERS.X")), request(2, 5, publish())]), []);
    assert_eq!(ann.ask_all(vec![request(1, 6, publish())]), [(1, Reason::NotFound, false)]);
    assert_eq!(
        ann.ask_all(vec![request(1, 5, Verb::Detach), request(2, 5, publish())]),
        [(2, Reason::NotFound, false)]
    );
}

#[test]
fn nobody_sends_in_anothers_name() {
    let from = |sender: &str| Verb::Publish(message(&Fixed::default(), Some(sender), 1));
    let mut ann = broker().logged_in("ann");
    assert_eq!(ann.ask(attach("queue://ORDERS")), []);
    assert_eq!(ann.ask(from("ann")), []);
    assert_eq!(ann.ask(from("bob")), FORBIDDEN);
    assert_eq!(ann.ask(from("")), FORBIDDEN);
}

#[test]
fn only_a_rule_gives_the_right_to_send_in_the_names_of_others() {
    let from = |sender: &str| Verb::Publish(message(&Fixed::default(), Some(sender), 1));
    let may = || Verb::Query(Box::new(Query::List(destination("topic://$sabir.bridge"))));
    for (rules, allowed) in [
        (&["queue://# write ann", "topic://$sabir.bridge read ann"][..], true),
        (&["queue://# write ann", "topic://# read ann", "topic://$sabir.event.# read ann"][..], false),
        (&["queue://# write ann", "topic://$sabir.bridge read bob"][..], false),
        (&[][..], false),
    ] {
        let mut ann = Broker::new(policy(rules)).logged_in("ann");
        assert_eq!(ann.ask(attach("queue://ORDERS")), []);
        let expected = if allowed { Vec::new() } else { FORBIDDEN.to_vec() };
        assert_eq!(ann.ask(may()), expected, "{rules:?}");
        assert_eq!(ann.ask(from("bob")), expected, "{rules:?}");
    }
}

#[test]
fn a_temporary_destination_is_read_and_removed_by_its_owner_and_written_by_anybody() {
    let broker = broker();
    let mut ann = broker.logged_in("ann");
    let mut bob = broker.logged_in("bob");
    for name in ["temp-queue://ID:1", "temp-topic://ID:1"] {
        assert_eq!(ann.ask(subscribe(name)), FORBIDDEN);
        assert_eq!(ann.ask_all(vec![request(1, 0, declare(name)), request(2, 1, subscribe(name))]), []);
        assert_eq!(bob.ask(subscribe(name)), FORBIDDEN);
        assert_eq!(bob.ask(delete(name)), FORBIDDEN);
        assert_eq!(bob.ask(Verb::Query(Box::new(Query::Explain(destination(name))))), FORBIDDEN);
        assert_eq!(bob.ask(attach(name)), []);
        assert_eq!(ann.ask(delete(name)), []);
        assert_eq!(ann.ask(subscribe(name)), FORBIDDEN);
    }
}

#[test]
fn a_temporary_destination_that_the_engine_refused_to_make_is_not_owned() {
    let mut bob = broker().logged_in("bob");
    assert_eq!(bob.ask_all(vec![request(9, 0, declare("temp-queue://ID:ann"))]), []);
    bob.answered(&[refused(9)]).unwrap();
    assert_eq!(bob.ask(subscribe("temp-queue://ID:ann")), FORBIDDEN);
    assert_eq!(bob.ask_all(vec![request(9, 0, declare("temp-queue://ID:bob"))]), []);
    bob.answered(&[done(9)]).unwrap();
    assert_eq!(bob.ask(subscribe("temp-queue://ID:bob")), []);
}

#[test]
fn to_look_a_destination_up_one_needs_something_to_do_with_it() {
    let passive = |name: &str| declare_with(name, |asked| asked.passive = true);
    let mut bob = broker().logged_in("bob");
    assert_eq!(bob.ask(passive("queue://BOB")), []);
    assert_eq!(bob.ask(passive("queue://PUBLIC.A")), []);
    assert_eq!(bob.ask(passive("queue://SECRET")), FORBIDDEN);
    assert_eq!(bob.ask(passive("temp-queue://ID:ann")), []);
    assert_eq!(bob.ask(subscribe("temp-queue://ID:ann")), FORBIDDEN);
    assert_eq!(bob.ask(Verb::Query(Box::new(Query::List(destination("queue://PUBLIC.*"))))), []);
    assert_eq!(bob.ask(Verb::Query(Box::new(Query::List(destination("queue://#"))))), FORBIDDEN);
    // Of temporary ones, whose names are all that a list tells, and nothing more.
    for all in ["temp-queue://#", "temp-topic://#"] {
        assert_eq!(bob.ask(Verb::Query(Box::new(Query::List(destination(all))))), []);
    }
    assert_eq!(bob.ask(Verb::Query(Box::new(Query::Explain(destination("temp-queue://ID:ann"))))), FORBIDDEN);
}

#[test]
fn only_who_may_administer_everything_is_an_operator_to_what_others_have_prepared() {
    for (user, expected) in [("ann", false), ("root", true)] {
        let mut client = broker().logged_in(user);
        client.reached();
        let branch = Branch::new(1, &[2], &[3]).unwrap();
        // Whatever it says of itself.
        for claimed in [false, true] {
            let step = BranchStep { operator: claimed, ..BranchStep::new(BranchAct::Commit, branch.clone()) };
            assert_eq!(client.ask(Verb::Branch(Box::new(step))), []);
            assert_eq!(client.ask(Verb::Query(Box::new(Query::Prepared { all: claimed }))), []);
        }
        let reached = std::mem::take(&mut *client.reached.lock().unwrap());
        let is_operator: Vec<bool> = reached
            .iter()
            .map(|request| match &request.verb {
                Verb::Branch(step) => step.operator,
                Verb::Query(query) => **query == Query::Prepared { all: true },
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(is_operator, [expected; 4], "{user}");
    }
}

#[test]
fn to_bind_one_reads_the_source_and_writes_the_target() {
    let bind = |source: &str, target: &str| {
        let (source, target) = (destination(source), destination(target));
        Verb::Bind(Box::new(Bind { source, target, key: String::new(), selector: None }))
    };
    let mut bob = broker().logged_in("bob");
    assert_eq!(bob.ask(bind("exchange://E", "queue://BOB")), []);
    assert_eq!(bob.ask(bind("exchange://E", "queue://PUBLIC.A")), FORBIDDEN);
    assert_eq!(bob.ask(bind("exchange://F", "queue://BOB")), FORBIDDEN);
    assert_eq!(bob.ask(bind("exchange://E", "temp-queue://ID:ann")), FORBIDDEN);
}

#[test]
fn a_durable_subscription_is_made_and_removed_under_a_client_id_unless_it_is_shared() {
    let nameless = || {
        let Verb::Connect(mut connect) = log_in("ann") else { unreachable!() };
        connect.client_id = None;
        Verb::Connect(connect)
    };
    let durable =
        || subscribe_with("topic://PRICES.X", |asked| (asked.durable, asked.name) = (true, Some("s".into())));
    let remove = || {
        Verb::Delete(Box::new(Delete {
            destination: None,
            subscription_name: Some("s".to_owned()),
            if_empty: false,
            if_unused: false,
        }))
    };
    let mut client = broker().client();
    assert_eq!(client.ask(nameless()), []);
    assert_eq!(client.ask(durable()), [(1, Reason::Invalid, false)]);
    let shared = |topic: &str| {
        subscribe_with(topic, |asked| {
            (asked.durable, asked.shared, asked.name) = (true, true, Some("s".into()));
        })
    };
    assert_eq!(client.ask(shared("topic://PRICES.X")), []);
    assert_eq!(client.ask(shared("topic://SECRET")), FORBIDDEN);
    assert_eq!(client.ask(remove()), FORBIDDEN);
    let mut client = broker().logged_in("ann");
    assert_eq!(client.ask(durable()), []);
    assert_eq!(client.ask(remove()), []);
}

#[test]
fn a_new_policy_holds_for_the_next_message_of_a_session_that_stands() {
    let broker = broker();
    let mut ann = broker.logged_in("ann");
    assert_eq!(ann.ask(attach("queue://ORDERS.A")), []);
    assert_eq!(ann.ask(publish()), []);
    broker.shared.policy.replace(policy(&["queue://ORDERS.A read ann"]));
    assert_eq!(ann.ask(publish()), FORBIDDEN);
    broker.shared.policy.replace(policy(&["queue://ORDERS.A write ann"]));
    assert_eq!(ann.ask(publish()), []);
}

#[test]
fn who_loses_the_right_to_read_gets_nothing_more() {
    let broker = broker();
    let mut ann = broker.logged_in("ann");
    assert_eq!(ann.ask(subscribe("queue://ORDERS.A")), []);
    assert_eq!(ann.answered(&[]), Ok(()));
    broker.shared.policy.replace(policy(&["queue://OTHER read ann"]));
    let refusal = ann.answered(&[]).unwrap_err();
    assert_eq!((refusal.reason, refusal.fatal), (Reason::Forbidden, true));
    assert_eq!(ann.ask(Verb::Credit { amount: 1, set: false, drain: false }), [(1, Reason::Forbidden, true)]);
}

#[test]
fn who_is_no_user_any_more_is_thrown_out() {
    let broker = broker();
    let mut bob = broker.logged_in("bob");
    let fewer = Policy::new(users(&[("ann", &[])]), Rules::default(), Limits::default());
    broker.shared.policy.replace(fewer);
    let refusal = bob.answered(&[]).unwrap_err();
    assert_eq!((refusal.reason, refusal.fatal), (Reason::Unauthenticated, true));
    assert_eq!(bob.ask(subscribe("queue://PUBLIC.A")), [(1, Reason::Unauthenticated, true)]);
    assert_eq!(bob.reached(), []);
}

#[test]
fn groups_are_those_of_the_new_policy() {
    let broker = broker();
    let mut bob = broker.logged_in("bob");
    assert_eq!(bob.ask(declare("queue://X")), FORBIDDEN);
    let raised = users(&[("bob", &["admins"])]);
    broker.shared.policy.replace(Policy::new(raised, rules(&["queue://# admin @admins"]), Limits::default()));
    assert_eq!(bob.ask(declare("queue://X")), []);
    assert_eq!(bob.session().principal().unwrap().groups, ["admins"]);
}

#[test]
fn a_policy_that_changed_while_a_password_was_checked_counts() {
    let mut broker = broker();
    let policy = broker.shared.policy.clone();
    broker.shared.blocking = std::sync::Arc::new(move |work: Box<dyn FnOnce() + Send>| {
        work();
        policy.replace(Policy::new(users(&[("ann", &[])]), Rules::default(), Limits::default()));
    });
    let mut bob = broker.client();
    assert_eq!(bob.ask(log_in("bob")), [(1, Reason::Unauthenticated, true)]);
    assert_eq!(bob.reached(), []);
}

#[test]
fn very_many_destinations_are_decided_rightly_with_a_bounded_memory() {
    let mut ann = broker().logged_in("ann");
    for n in 0..3000 {
        let allowed = n % 2 == 0;
        let name = if allowed { format!("queue://ORDERS.{n}") } else { format!("queue://SECRET.{n}") };
        assert_eq!(ann.ask(subscribe(&name)).is_empty(), allowed);
    }
    assert_eq!(ann.reached(), vec![VerbKind::Subscribe; 1500]);
}

#[test]
fn what_the_engine_refused_is_neither_a_producer_nor_a_subscription() {
    let broker = broker();
    let mut ann = broker.logged_in("ann");
    let asked = vec![request(5, 5, attach("queue://ORDERS.A")), request(6, 6, subscribe("queue://ORDERS.B"))];
    assert_eq!(ann.ask_all(asked), []);
    ann.answered(&[refused(5), refused(6)]).unwrap();
    assert_eq!(ann.ask_all(vec![request(7, 5, publish())]), [(7, Reason::NotFound, false)]);
    broker.shared.policy.replace(policy(&["queue://OTHER read ann"]));
    assert_eq!(ann.answered(&[]), Ok(()));
}

#[test]
fn what_limits_refuse_leaves_nothing_behind() {
    let limits =
        Limits { max_subscriptions: 3, max_producers: 3, max_temporary_destinations: 3, ..Limits::default() };
    let mut client = Broker::with_limits(limits).connected();
    for n in 1..1000 {
        let asked = vec![
            request(n * 3, n, attach("queue://A")),
            request(n * 3 + 1, n, subscribe("queue://A")),
            request(n * 3 + 2, n, declare(&format!("temp-queue://{n}"))),
        ];
        let refusals = client.ask_all(asked);
        assert_eq!(refusals.len(), if n > 3 { 3 } else { 0 });
    }
    assert_eq!(client.reached().len(), 9);
}

#[test]
fn a_rule_for_one_virtual_host_opens_no_other() {
    let rule = Rule {
        destination: "queue://A".to_owned(),
        virtual_host: Some("shop".to_owned()),
        allow: vec![Operation::Read],
        users: vec!["ann".to_owned()],
        groups: Vec::new(),
    };
    let policy = |default: &str| {
        let rules = Rules::new(vec![rule.clone()]).unwrap();
        Policy::new(users(&[("ann", &[])]), rules, Limits::default()).with_default_virtual_host(default)
    };
    let cases = [
        (Some("shop"), "other", true),
        (Some("other"), "shop", false),
        (None, "shop", true),
        (None, "other", false),
        (Some(""), "shop", true),
    ];
    for (named, default, allowed) in cases {
        let Verb::Connect(mut connect) = log_in("ann") else { unreachable!() };
        connect.virtual_host = named.map(str::to_owned);
        let mut client = Broker::new(policy(default)).client();
        assert_eq!(client.ask(Verb::Connect(connect)), []);
        assert_eq!(client.ask(subscribe("queue://A")).is_empty(), allowed, "{named:?} {default}");
    }
}
