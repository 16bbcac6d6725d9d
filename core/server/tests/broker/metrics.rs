// SPDX-License-Identifier: Apache-2.0
//! What operators can measure, and how they come by it.

use crate::{Client, PATIENCE, start};
use std::time::Instant;

#[test]
fn publishes_deliveries_and_commits_are_told_with_their_times() {
    let broker = start("");
    let mut client = Client::logged_in(&broker);
    client.send("SUBSCRIBE\nid:1\ndestination:/queue/q\n\n\0");
    client.send("SEND\ndestination:/queue/q\npersistent:true\nreceipt:1\n\none\0");
    let frames = [client.frame(), client.frame()];
    assert!(frames.iter().any(|frame| frame.starts_with("RECEIPT\n")), "{frames:?}");
    let text = broker.render_metrics();
    for line in [
        "# TYPE sabir_publish_latency_seconds histogram",
        "sabir_publish_latency_seconds_count{protocol=\"stomp\"} 1",
        "sabir_publish_latency_seconds_bucket{protocol=\"stomp\",le=\"+Inf\"} 1",
        "sabir_end_to_end_latency_seconds_count{protocol=\"stomp\"} 1",
        "sabir_refusals_total{protocol=\"stomp\",reason=\"unauthenticated\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    let commits = text.lines().find_map(|line| line.strip_prefix("sabir_storage_commit_seconds_count "));
    assert!(commits.is_some_and(|count| count != "0"), "{text}");
    assert!(text.contains("sabir_build_info{version=\""), "{text}");
}

#[test]
fn the_largest_destinations_have_figures_of_their_own_and_the_others_none() {
    let broker = start("[metrics]\nmax_destinations = 2\n");
    let mut client = Client::logged_in(&broker);
    for (queue, count) in [("small", 1), ("say \"large\"", 3), ("middle", 2)] {
        for _ in 0..count {
            client.send(&format!("SEND\ndestination:/queue/{queue}\nreceipt:1\n\nbody\0"));
            client.frame();
        }
    }
    let text = broker.render_metrics();
    let figures: Vec<&str> =
        text.lines().filter(|line| line.starts_with("sabir_destination_messages{")).collect();
    let expected = [
        "sabir_destination_messages{virtual_host=\"default\",destination=\"queue://say \\\"large\\\"\"} 3",
        "sabir_destination_messages{virtual_host=\"default\",destination=\"queue://middle\"} 2",
    ];
    assert_eq!(figures, expected, "{text}");
    let oldest =
        "sabir_destination_oldest_age_seconds{virtual_host=\"default\",destination=\"queue://middle\"} ";
    assert!(text.lines().any(|line| line.starts_with(oldest)), "{text}");
    for reason in ["expired", "unroutable"] {
        assert!(text.contains(&format!("sabir_dead_letters_total{{reason=\"{reason}\"}} 0")), "{text}");
    }
}

#[test]
fn the_metrics_file_is_written_again_and_again_and_gone_with_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sabir.prom");
    let settings = format!("[metrics]\nfile = {:?}\ninterval_ms = 100\n", file.display().to_string());
    let broker = start(&settings);
    let until = Instant::now() + PATIENCE;
    let has =
        |line: &str| std::fs::read_to_string(&file).is_ok_and(|text| text.lines().any(|found| found == line));
    let client = Client::logged_in(&broker);
    while !has("sabir_connections 1") {
        assert!(Instant::now() < until, "the connection is not told");
        std::thread::yield_now();
    }
    drop(client);
    while !has("sabir_connections 0") {
        assert!(Instant::now() < until, "its end is not told");
        std::thread::yield_now();
    }
    assert_eq!(broker.shutdown(PATIENCE), None);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
