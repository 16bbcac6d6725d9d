// SPDX-License-Identifier: Apache-2.0
//! More than one reactor thread: links that live on different threads meet in one engine, and lose nothing there.

use crate::{Client, PATIENCE, body, start};
use std::collections::BTreeSet;
use std::sync::mpsc;

/// Links are given to the threads in turn, so as many links as threads are one for each.
const THREADS: usize = 3;
const SETTING: &str = "broker.reactor_threads = 3\n";
const MESSAGES: usize = 400;

/// The names of this process's reactor threads. Brokers of other tests have fewer.
fn reactor_threads() -> BTreeSet<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with("sabir-link-")).collect()
}

fn subscribe(client: &mut Client, destination: &str, ack: &str) {
    client.send(&format!("SUBSCRIBE\nid:1\ndestination:{destination}\nack:{ack}\nreceipt:s\n\n\0"));
    client.receipt("s");
}

/// Sends all its messages at once and then waits for each receipt, in order.
fn publish(client: &mut Client, producer: usize, destination: &str) {
    let frame = |n: usize| {
        format!("SEND\ndestination:{destination}\npersistent:true\nreceipt:{n}\n\n{producer} {n}\0")
    };
    client.send(&(0..MESSAGES).map(frame).collect::<String>());
    (0..MESSAGES).for_each(|n| client.receipt(&n.to_string()));
}

/// Producer and number of a message.
fn origin(frame: &str) -> (usize, usize) {
    let (producer, number) = body(frame).split_once(' ').unwrap_or_else(|| panic!("{frame}"));
    (producer.parse().unwrap(), number.parse().unwrap())
}

#[test]
fn links_on_different_threads_compete_for_a_queue_and_every_message_goes_to_one_of_them_in_order() {
    let broker = start(SETTING);
    let mut consumers: Vec<Client> = (0..THREADS).map(|_| Client::logged_in(&broker)).collect();
    for name in (0..THREADS).map(|n| format!("sabir-link-{n}")) {
        assert!(reactor_threads().contains(&name), "there is no thread {name}");
    }
    for consumer in &mut consumers {
        subscribe(consumer, "/queue/shared", "auto");
    }
    let producers: Vec<_> = (0..THREADS)
        .map(|producer| {
            let mut client = Client::logged_in(&broker);
            std::thread::spawn(move || publish(&mut client, producer, "/queue/shared"))
        })
        .collect();
    let (sender, received) = mpsc::channel();
    let readers: Vec<_> = consumers
        .into_iter()
        .enumerate()
        .map(|(number, mut consumer)| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                loop {
                    let frame = consumer.frame();
                    match frame.as_str() {
                        "" => return,
                        _ if frame.starts_with("MESSAGE\n") => sender.send((number, origin(&frame))).unwrap(),
                        _ => {}
                    }
                }
            })
        })
        .collect();
    drop(sender);
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    let mut all: Vec<_> = (0..THREADS * MESSAGES)
        .map(|_| received.recv_timeout(PATIENCE).expect("a message is missing"))
        .collect();
    assert_eq!(broker.shutdown(PATIENCE), None);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    // Whatever came twice.
    all.extend(received);
    for pair in (0..THREADS).flat_map(|consumer| (0..THREADS).map(move |producer| (consumer, producer))) {
        let of_pair = all.iter().filter(|(consumer, (producer, _))| (*consumer, *producer) == pair);
        let numbers: Vec<usize> = of_pair.map(|(_, (_, number))| *number).collect();
        assert!(numbers.is_sorted(), "consumer and producer {pair:?}: {numbers:?}");
    }
    let mut messages: Vec<_> = all.into_iter().map(|(_, origin)| origin).collect();
    messages.sort_unstable();
    let expected: Vec<_> =
        (0..THREADS).flat_map(|producer| (0..MESSAGES).map(move |number| (producer, number))).collect();
    assert!(messages == expected, "{} of {} came", messages.len(), expected.len());
}

#[test]
fn a_topic_reaches_the_links_of_every_thread() {
    let broker = start(SETTING);
    let mut consumers: Vec<Client> = (0..2 * THREADS).map(|_| Client::logged_in(&broker)).collect();
    consumers.iter_mut().for_each(|consumer| subscribe(consumer, "/topic/news", "auto"));
    publish(&mut Client::logged_in(&broker), 7, "/topic/news");
    for consumer in &mut consumers {
        (0..MESSAGES).for_each(|n| assert_eq!(origin(&consumer.frame()), (7, n)));
    }
}

#[test]
fn what_a_lost_link_did_not_acknowledge_goes_on_to_a_link_of_another_thread() {
    let broker = start(SETTING);
    publish(&mut Client::logged_in(&broker), 1, "/queue/q");
    for _ in 0..THREADS {
        let mut lost = Client::logged_in(&broker);
        subscribe(&mut lost, "/queue/q", "client");
        assert_eq!(origin(&lost.frame()).0, 1);
    }
    let mut last = Client::logged_in(&broker);
    subscribe(&mut last, "/queue/q", "auto");
    let got: BTreeSet<_> = (0..MESSAGES).map(|_| origin(&last.frame())).collect();
    assert_eq!(got.len(), MESSAGES);
}
