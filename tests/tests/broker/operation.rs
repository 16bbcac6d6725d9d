// SPDX-License-Identifier: Apache-2.0
//! What an operator relies on: start, stop, and errors that name what is wrong.

use crate::{copy_folder, data};
use sabir_tests::process::{Broker, Options, plugins, program};
use sabir_tests::stomp::{Client, Frame};
use std::process::Command;

/// Exit codes of the program that scripts rely on.
const CONFIGURATION: i32 = 3;
const PLUGIN: i32 = 4;
const STORE_OPEN: i32 = 5;
const LISTEN: i32 = 7;

#[test]
fn sigterm_ends_the_broker_with_success_and_everything_confirmed_is_kept() {
    let (_folder, data) = data();
    let mut broker = Broker::start(&data);
    let mut client = Client::connect(broker.address).expect("the broker is there");
    for number in 0..100 {
        client.publish("/queue/kept", format!("{number}").as_bytes()).expect("a receipt");
    }
    broker.terminate();
    let status = broker.wait();
    assert_eq!(status.code(), Some(0), "{}", broker.log());
    // The connection has ended, perhaps after an ERROR frame that says why.
    while client.receive().is_ok() {}
    let broker = Broker::start(&data);
    let mut client = Client::connect(broker.address).expect("the broker is back");
    client.subscribe("0", "/queue/kept", "client-individual", 200).expect("a subscription");
    for number in 0..100 {
        assert_eq!(client.receive().expect("a message").text(), format!("{number}"));
    }
}

#[test]
fn a_second_broker_on_the_same_data_is_refused_and_the_first_goes_on() {
    let (_folder, data) = data();
    let broker = Broker::start(&data);
    let output = Options::new(&data).run_to_end();
    assert_eq!(output.status.code(), Some(STORE_OPEN), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("data"), "it names the folder: {words}");
    let mut client = Client::connect(broker.address).expect("the first is there");
    client.publish("/queue/a", b"x").expect("the first goes on");
}

#[test]
fn a_wrong_configuration_is_refused_with_file_line_and_key() {
    let (folder, data) = data();
    let file = folder.path().join("wrong.toml");
    std::fs::write(&file, "[limits]\nmax_conections = 5\n").expect("the file can be written");
    let mut options = Options::new(&data);
    options.arguments = vec!["--config".to_owned(), file.display().to_string()];
    let output = options.run_to_end();
    assert_eq!(output.status.code(), Some(CONFIGURATION), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr);
    for part in ["wrong.toml", "2", "limits.max_conections", "max_connections"] {
        assert!(words.contains(part), "{part} is not in: {words}");
    }
}

#[test]
fn a_missing_plugin_is_named_with_where_it_was_looked_for() {
    let (folder, data) = data();
    let some = folder.path().join("some-plugins");
    copy_folder(&plugins(), &some);
    let stomp = std::fs::read_dir(&some)
        .expect("the folder can be read")
        .map(|entry| entry.expect("the folder can be read").path())
        .find(|path| path.to_string_lossy().contains("protocol_stomp"))
        .expect("the STOMP plugin is there");
    std::fs::remove_file(&stomp).expect("it can be removed");
    let mut options = Options::new(&data);
    options.plugins = some.clone();
    let output = options.run_to_end();
    assert_eq!(output.status.code(), Some(PLUGIN), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("stomp") && words.contains(&some.display().to_string()), "{words}");
}

#[test]
fn plugin_list_shows_that_everything_came_from_shared_libraries() {
    let output = Command::new(program())
        .args(["plugin", "list", "--plugins"])
        .arg(plugins())
        .output()
        .expect("sabir starts");
    assert!(output.status.success(), "{output:?}");
    let words = String::from_utf8_lossy(&output.stdout);
    for library in ["transport_tcp", "protocol_stomp", "store_journal"] {
        assert!(words.contains(library) && words.contains(".so"), "{library} is not in: {words}");
    }
}

#[test]
fn listening_beyond_this_machine_without_users_is_refused() {
    let (_folder, data) = data();
    let mut options = Options::new(&data);
    options.arguments = vec!["--listen".to_owned(), "tcp://0.0.0.0:0".to_owned()];
    let output = options.run_to_end();
    assert_eq!(output.status.code(), Some(LISTEN), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("0.0.0.0") && words.contains("sabir user add"), "{words}");
}

#[test]
fn a_broker_on_the_memory_store_serves_and_forgets() {
    let (_folder, data) = data();
    let mut options = Options::new(&data);
    options.arguments = vec!["--store".to_owned(), "memory".to_owned()];
    let broker = options.start();
    let mut client = Client::connect(broker.address).expect("the broker is there");
    client.publish("/queue/a", b"gone").expect("a receipt");
    client.confirm(Frame::new("DISCONNECT", &[])).expect("a receipt");
    broker.kill();
    let broker = options.start();
    let mut client = Client::connect(broker.address).expect("the broker is back");
    client.publish("/queue/a", b"new").expect("a receipt");
    client.subscribe("0", "/queue/a", "auto", 10).expect("a subscription");
    assert_eq!(client.receive().expect("the only message").text(), "new");
}
