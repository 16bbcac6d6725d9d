// SPDX-License-Identifier: Apache-2.0
//! What operators are told when their configuration is wrong, and how the layers lie over each other.

use super::*;

/// Reads `text` as the file `sabir.toml`, with variables over it.
fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let mut root = tree::parse(DEFAULTS, &Source::Defaults)?;
    tree::merge(&mut root, tree::parse(text, &Source::File(Arc::from("sabir.toml")))?);
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for (origin, path, value) in environment::values(&variables) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        tree::set(&mut root, &path, Node { value: Value::Untyped(value), origin });
    }
    sections::read(&root)
}

fn errors(text: &str, variables: &[(&str, &str)]) -> String {
    load(text, variables).expect_err("the configuration should have been refused").to_string()
}

#[test]
fn the_embedded_defaults_are_good_and_name_every_key() {
    let config = load("", &[]).unwrap();
    assert!(!config.listeners.is_empty());
    assert!(config.listeners.iter().all(|listener| listener.is_loopback()));
    assert_eq!(config.limits.max_message_bytes, 100 << 20);
    assert!(config.stores[&config.store.kind].contains("./sabir-data/journal"));
}

#[test]
fn every_error_names_file_line_and_key() {
    let cases = [
        (
            "[limits]\nmax_conections = 5",
            "sabir.toml:2: limits.max_conections: unknown key; did you mean max_connections?",
        ),
        ("[limit]\n", "sabir.toml:1: limit: unknown key; did you mean limits?"),
        ("zzzz = 1", "sabir.toml:1: zzzz: unknown key"),
        (
            "[limits]\n\nmax_connections = \"many\"",
            "sabir.toml:3: limits.max_connections: must be a whole number, not text",
        ),
        (
            "[limits]\nmax_connections = 0",
            "sabir.toml:2: limits.max_connections: must lie between 1 and 4294967295, not be 0",
        ),
        (
            "[limits]\nmax_message = \"1 MB\"",
            "sabir.toml:2: limits.max_message: must be a number of bytes, as 1048576 or \"1 MiB\", not text",
        ),
        (
            "[log]\nformat = \"xml\"",
            "sabir.toml:2: log.format: must be one of \"auto\", \"text\", \"json\", not \"xml\"",
        ),
        ("limits = 3", "sabir.toml:1: limits: must be a table, not a whole number"),
        (
            "[[listeners]]\nuri = \"localhost:1\"",
            "sabir.toml:2: listeners[0].uri: \"localhost:1\" does not begin with a transport, as tcp://",
        ),
        ("[[listeners]]\nprotocols = [\"auto\"]", "sabir.toml:1: listeners[0].uri: is missing"),
        (
            "[protocols.stomp]\n[[listeners]]\nuri = \"tcp://127.0.0.1:1\"\nprotocols = [\"stmp\"]",
            "sabir.toml:2: listeners[0].protocols: \"stmp\" is not configured; did you mean stomp?",
        ),
        (
            "[security]\nallow_unauthenticated_remote = \"yes\"",
            "sabir.toml:2: security.allow_unauthenticated_remote: must be empty, or in words: \
             \"yes, anybody may connect\"",
        ),
        (
            "[[virtual_topics]]\ntopic = \"a.#\"\nqueue = \"Consumer.*.\"",
            "sabir.toml:3: virtual_topics[0].queue: the queue must be words with dots between them, one of which is \
             {topic}; * stands for any one word",
        ),
        ("[[virtual_topics]]\nqueue = \"a.{topic}\"", "sabir.toml:1: virtual_topics[0].topic: is missing"),
        ("[stores]\njournal = 5", "sabir.toml:2: stores.journal: must be a table, not a whole number"),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(text, &[]), expected, "for {text:?}");
    }
}

#[test]
fn broken_toml_is_refused_with_its_line() {
    let found = errors("[limits]\nmax_connections = = 5", &[]);
    assert!(found.starts_with("sabir.toml:2: "), "{found}");
}

#[test]
fn all_errors_are_told_at_once() {
    let found = errors("[limits]\nmax_connections = 0\n[log]\nformat = 1\nlevl = \"info\"", &[]);
    assert_eq!(found.lines().count(), 3, "{found}");
}

#[test]
fn tables_are_merged_and_arrays_replaced() {
    let text = "[limits]\nmax_connections = 7\n[[listeners]]\nuri = \"tcp://127.0.0.1:0\"\n\
                [[listeners]]\nuri = \"tcp://[::1]:0\"";
    let config = load(text, &[]).unwrap();
    assert_eq!(config.limits.max_connections, 7);
    assert_eq!(config.limits.handshake_timeout_ms, 1800);
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.listeners[1].protocols, ["auto"]);
}

#[test]
fn the_default_has_the_virtual_topics_of_activemq_and_a_list_in_the_file_replaces_them() {
    let of = |text: &str| load(text, &[]).unwrap().engine.virtual_topics;
    let rule =
        |topic: &str, queue: &str, aware| sabir_engine::VirtualTopic::new(topic, queue, aware).unwrap();
    assert_eq!(of(""), [rule("VirtualTopic.#", "Consumer.*.{topic}", false)]);
    let own = "[[virtual_topics]]\ntopic = \"a.*\"\nqueue = \"{topic}.view\"\nselector_aware = true";
    assert_eq!(of(own), [rule("a.*", "{topic}.view", true)]);
    assert_eq!(of("virtual_topics = []"), []);
}

#[test]
fn variables_lie_over_the_file_and_are_typed_by_their_place() {
    let variables = [
        ("SABIR_LIMITS__MAX_CONNECTIONS", "12"),
        ("SABIR_LIMITS__MAX_MESSAGE", "3 MiB"),
        ("SABIR_STORES__JOURNAL__SYNC", "never"),
        ("SABIR_STORES__JOURNAL__SEGMENTS", "5"),
        ("SABIR_PLUGINS__DIRECTORIES", "/a,/b"),
        ("SABIR_LISTENERS", "[{ uri = \"tcp://127.0.0.1:9\" }]"),
        ("SABIR_CONFIG", "ignored here"),
        ("SABIR_OTHER", "not ours"),
    ];
    let config = load("[limits]\nmax_connections = 7", &variables).unwrap();
    assert_eq!(config.limits.max_connections, 12);
    assert_eq!(config.limits.max_message_bytes, 3 << 20);
    let journal: serde_json::Value = serde_json::from_str(&config.stores["journal"]).unwrap();
    assert_eq!(journal["sync"], "never");
    assert_eq!(journal["segments"], 5);
    assert_eq!(config.plugins.directories, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!(config.listeners[0].uri, "tcp://127.0.0.1:9");
}

#[test]
fn a_variable_that_is_no_text_is_refused_and_not_passed_over() {
    let garbled = String::from_utf8_lossy(b"/data/\xff").into_owned();
    let environment = vec![("SABIR_BROKER__DATA_DIR".to_owned(), garbled)];
    let refused = Sources { environment, ..Sources::default() }.load().unwrap_err().to_string();
    assert_eq!(refused, "$SABIR_BROKER__DATA_DIR: broker.data_dir: is not valid UTF-8");
}

#[test]
fn a_variable_with_one_underscore_too_few_is_noticed() {
    let environment = [
        "SABIR_LOG_LEVEL",
        "SABIR_LOG__LEVEL",
        "SABIR_CONFIG",
        "SABIR_LISTENERS",
        "SABIR_LOGS",
        "SABIR_LOG_",
    ]
    .map(|name| (name.to_owned(), "info".to_owned()));
    let sources = Sources { environment: environment.to_vec(), ..Sources::default() };
    let expected = [("SABIR_LOG_LEVEL".to_owned(), "SABIR_LOG__LEVEL".to_owned())];
    assert_eq!(sources.doubtful_variables(), expected);
}

#[test]
fn a_wrong_variable_is_named_instead_of_the_file() {
    let cases = [
        (
            "SABIR_LIMITS__MAX_CONNECTIONS",
            "many",
            "$SABIR_LIMITS__MAX_CONNECTIONS: limits.max_connections: must be a whole number, not \"many\"",
        ),
        (
            "SABIR_LIMIS__MAX_CONNECTIONS",
            "5",
            "$SABIR_LIMIS__MAX_CONNECTIONS: limis: unknown key; did you mean limits?",
        ),
        (
            "SABIR_LIMITS__MAX_CONECTIONS",
            "5",
            "$SABIR_LIMITS__MAX_CONECTIONS: limits.max_conections: unknown key; did you mean max_connections?",
        ),
    ];
    for (name, value, expected) in cases {
        assert_eq!(errors("", &[(name, value)]), expected);
    }
}

#[test]
fn the_data_directory_moves_what_lies_in_it() {
    let config = load("[broker]\ndata_dir = \"/var/lib/sabir\"", &[]).unwrap();
    assert!(config.stores["journal"].contains("/var/lib/sabir/journal"));
    assert_eq!(config.security.users_file, PathBuf::from("/var/lib/sabir/users"));
}

#[test]
fn loopback_is_told_from_the_world() {
    let at = |uri: &str| ListenerConfig {
        uri: uri.to_owned(),
        protocols: Vec::new(),
        origin: Origin::Argument("--listen"),
    };
    for uri in ["tcp://127.0.0.1:1", "tcp://127.9.9.9", "tcp://[::1]:5?x=1", "tcp://localhost:61613"] {
        assert!(at(uri).is_loopback(), "{uri}");
    }
    for uri in
        ["tcp://0.0.0.0:1", "tcp://[::]:1", "tcp://192.168.0.1:1", "tcp://example.org", "tcp://:61613", ""]
    {
        assert!(!at(uri).is_loopback(), "{uri}");
    }
}

#[test]
fn the_effective_configuration_reads_back_as_the_same() {
    let sources = Sources {
        file: None,
        environment: vec![
            ("SABIR_LIMITS__MAX_CONNECTIONS".into(), "5".into()),
            ("SABIR_PLUGINS__DIRECTORIES".into(), "/a,/b".into()),
        ],
        arguments: vec![("--data", vec!["broker".into(), "data_dir".into()], "/x y".into())],
    };
    let text = sources.effective().unwrap();
    assert!(text.contains("max_connections = 5  # $SABIR_LIMITS__MAX_CONNECTIONS"), "{text}");
    assert!(text.contains("data_dir = \"/x y\"  # --data"), "{text}");
    let again = Config::from_toml(&text).unwrap();
    let first = sources.load().unwrap();
    assert_eq!(again.limits, first.limits);
    assert_eq!(again.broker, first.broker);
    assert_eq!(again.stores, first.stores);
    assert_eq!(again.listeners.len(), first.listeners.len());
}

#[test]
fn a_rule_that_makes_no_sense_is_an_error_and_never_no_rule_at_all() {
    let rule = |destination: &str, allow: &str, users: &str| {
        format!("[[authorization]]\ndestination = {destination}\nallow = {allow}\nusers = {users}")
    };
    assert!(load(&rule("\"queue://a\"", "[\"read\"]", "[\"*\"]"), &[]).is_ok());
    for wrong in [
        rule("\"\"", "[\"read\"]", "[\"*\"]"),
        rule("\"\"", "[]", "[]"),
        rule("\"nonsense\"", "[\"read\"]", "[\"*\"]"),
        rule("\"queue://a\"", "[]", "[\"*\"]"),
        rule("\"queue://a\"", "[\"read\"]", "[]"),
    ] {
        let told = errors(&wrong, &[]);
        assert!(told.contains("authorization[0].destination"), "{wrong}: {told}");
    }
}
