//! Behaviour of the configuration as a whole: precedence, problems and their places, secrets.

use std::ffi::OsString;

use super::keys::Kind;
use super::*;

const SECRET: &str = "hunter2-correct-horse";

fn inputs(environment: &[(&str, &str)], settings: &[&str]) -> Inputs {
    let mut environment: Vec<(OsString, OsString)> =
        environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
    if !environment.iter().any(|(name, _)| name == "HOME") {
        environment.push(("HOME".into(), "/home/kube".into()));
    }
    let settings = settings.iter().map(|setting| setting.parse().unwrap()).collect();
    Inputs { file: None, environment, settings }
}

fn loaded(file: &str, environment: &[(&str, &str)], settings: &[&str]) -> Loaded {
    load_text(file, &inputs(environment, settings)).unwrap()
}

fn config(file: &str, environment: &[(&str, &str)], settings: &[&str]) -> Config {
    loaded(file, environment, settings).config
}

/// The problems as a person reads them.
fn problems(file: &str, environment: &[(&str, &str)], settings: &[&str]) -> String {
    load_text(file, &inputs(environment, settings)).unwrap_err().to_string()
}

#[test]
fn nothing_set_gives_the_defaults() {
    insta::assert_debug_snapshot!(config("", &[], &[]));
}

#[test]
fn later_layers_override_earlier_ones() {
    let file = "
        cluster = 'file'
        [kafka]
        group_id = 'file'
        bootstrap_servers = 'file'
        [kafka.properties]
        client.id = 'file'
        'client.rack' = 'file'
    ";
    let environment = [
        ("KUBETELL_KAFKA__GROUP_ID", "env"),
        ("KUBETELL_KAFKA__BOOTSTRAP_SERVERS", "env:1"),
        ("KUBETELL_KAFKA__PROPERTIES__CLIENT_RACK", "env"),
    ];
    let settings = [
        "kafka.bootstrap_servers=first:1",
        "kafka.bootstrap_servers=set:1,set:2",
        "kafka.properties.linger.ms=7",
    ];
    let loaded = loaded(file, &environment, &settings);
    assert_eq!(loaded.config.cluster, "file");
    assert_eq!(loaded.config.kafka.group_id, "env");
    assert_eq!(loaded.config.kafka.bootstrap_servers, "set:1,set:2");
    let properties: Vec<(&str, &str)> = loaded.config.kafka.properties.expose().collect();
    assert_eq!(properties, [("client.id", "file"), ("client.rack", "env"), ("linger.ms", "7")]);

    let check = |path: &str, source: &str| {
        assert_eq!(loaded.provenance.source(path).unwrap().to_string(), source, "{path}");
    };
    check("cluster", "kubetell.toml:2:9");
    check("kafka.group_id", "env KUBETELL_KAFKA__GROUP_ID");
    check("kafka.bootstrap_servers", "--set");
    check("kafka.properties.client.id", "kubetell.toml:7:16");
    check("kafka.properties.client.rack", "env KUBETELL_KAFKA__PROPERTIES__CLIENT_RACK");
    check("alerts.topic", "default");
    assert_eq!(loaded.provenance.source("nothing"), None);
}

#[test]
fn every_key_can_be_set_in_the_file_by_a_variable_and_by_set() {
    for key in keys::KEYS {
        let (table, name) = keys::split(key.path);
        let table = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let default = key.default.trim_matches('"');
        let source = |loaded: Loaded| loaded.provenance.source(key.path).unwrap().to_string();
        // An empty directory is looked up, which is a source of its own.
        if key.path == "state.directory" {
            continue;
        }
        let file = format!("{table}{name} = {}\n", key.default);
        assert!(source(loaded(&file, &[], &[])).starts_with("kubetell.toml:"), "{}", key.path);
        let variable = keys::environment_name(key.path);
        let from = source(loaded("", &[(&variable, default)], &[]));
        assert_eq!(from, format!("env {variable}"));
        let setting = format!("{}={}", key.path, key.default);
        assert_eq!(source(loaded("", &[], &[&setting])), "--set", "{}", key.path);
    }
}

#[test]
fn cluster_from_is_parsed() {
    let check = |text: &str, expected: ClusterFrom| {
        let setting = format!("source.cluster_from={text}");
        assert_eq!(config("", &[], &[&setting]).source.cluster_from, expected);
    };
    check("", ClusterFrom::None);
    check("topic", ClusterFrom::Topic);
    check("header:x-cluster:1", ClusterFrom::Header("x-cluster:1".to_owned()));
    check("field:/metadata/a~1b", ClusterFrom::Field("/metadata/a~1b".to_owned()));
}

#[test]
fn state_directory_is_the_first_of_key_systemd_xdg_and_home() {
    let check = |environment: &[(&str, &str)], settings: &[&str], expected: &str, from: &str| {
        let loaded = loaded("", environment, settings);
        assert_eq!(loaded.config.state.directory.to_str(), Some(expected));
        assert_eq!(loaded.provenance.source("state.directory").unwrap().to_string(), from);
    };
    let systemd = ("STATE_DIRECTORY", "/var/lib/kubetell:/var/lib/other");
    let xdg = ("XDG_STATE_HOME", "/xdg");
    check(&[systemd, xdg], &["state.directory=here"], "here", "--set");
    check(&[systemd, xdg], &[], "/var/lib/kubetell", "env STATE_DIRECTORY");
    check(&[xdg], &[], "/xdg/kubetell", "env XDG_STATE_HOME");
    check(&[("XDG_STATE_HOME", "x")], &[], "/home/kube/.local/state/kubetell", "env HOME");
    check(&[("STATE_DIRECTORY", "")], &[], "/home/kube/.local/state/kubetell", "env HOME");
}

#[test]
fn start_wrapper_and_listener_become_what_they_mean() {
    let settings = [
        "source.start=latest",
        "source.wrapper=fluent-bit",
        "admin.listen=",
        "detect.max_in_flight_bytes=2MiB",
        "detect.workers=3",
        "new_terms.cache=0B",
        "topics.create=false",
    ];
    let loaded = loaded("", &[], &settings);
    assert_eq!(loaded.config.source.start, Start::Latest);
    assert_eq!(loaded.config.source.wrapper.as_deref(), Some("fluent-bit"));
    assert_eq!(loaded.config.admin.listen, None);
    assert_eq!(loaded.config.detect.max_in_flight_bytes, 2 << 20);
    assert_eq!(loaded.config.detect.workers, 3);
    assert_eq!(loaded.config.new_terms.cache_bytes, 0);
    assert!(!loaded.config.topics.create);
    assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
}

#[test]
fn a_listener_that_others_can_reach_is_noted() {
    let check = |settings: &[&str], noted: Option<&str>| {
        let loaded = loaded("", &[], settings);
        let notes = loaded.notes.join("\n");
        assert_eq!(loaded.notes.len(), usize::from(noted.is_some()), "{settings:?}: {notes}");
        assert!(notes.contains(noted.unwrap_or_default()), "{notes}");
    };
    check(&[], None);
    check(&["admin.listen=127.0.0.1:0"], None);
    check(&["admin.listen=[::1]:9464"], None);
    check(&["admin.listen=localhost:9464"], None);
    check(&["admin.listen=0.0.0.0:9464"], Some("can read metrics and the newest alerts"));
    check(&["admin.listen=[::]:9464", "admin.alerts=false"], Some("can read metrics;"));
    check(&["admin.listen=localhost.example:9464"], Some("`localhost.example:9464`"));
}

#[test]
fn defaults_in_bytes_are_the_limits_of_the_same_name() {
    let config = config("", &[], &[]);
    assert_eq!(config.detect.max_in_flight_bytes, crate::limits::IN_FLIGHT_DEFAULT_BYTES);
    assert_eq!(config.new_terms.cache_bytes, crate::limits::CACHE_DEFAULT_BYTES);
}

#[test]
fn variables_that_are_no_keys_are_left_alone() {
    config(
        "",
        &[
            ("KUBETELL_LOG", "debug"),
            ("KUBETELL_CONFIG", "/etc/kubetell.toml"),
            ("KUBETELL_SERVICE_HOST", "10.0.0.1"),
            ("KUBETELL_PORT_9464_TCP", "tcp://10.0.0.1:9464"),
            #[cfg(debug_assertions)]
            (crate::faults::VARIABLE, "outbox-left-out"),
            ("PATH", "/bin"),
        ],
        &[],
    );
}

#[test]
fn problems_of_types_and_names_are_told_at_once_with_their_places() {
    let file = r#"
clutser = "a"
rules = ["rules.d"]
delivery = "exactly-once"
"kafka.group_id" = "quoted"

[kafka]
bootstrap_servers = 9092
security.protocol = "SSL"

[source]
topics = ["a", 1]
topic = "a"
start = "middle"

[alerts]
format = "ocsf"
topic = { name = "x" }

[observations]
partitions = 0
replication_factor = 99999999999999999999

[topics]
create = "yes"

[new_terms]
learning = 7

[detect]
max_in_flight_bytes = "1B"

[state]
directory = 2024-01-01
"#;
    let environment = [
        ("KUBETELL_KAFKA_GROUP_ID", "a"),
        ("KUBETELL_NEW_TERMS__LEARNING", "soon"),
        ("KUBETELL_OBSERVATIONS__PARTITIONS", "many"),
    ];
    let settings =
        ["kafka=x", "new_terms.learning=91d", "group_id=x", "source.topics=[1", "zzz\u{1b}[31m=1"];
    insta::assert_snapshot!(problems(file, &environment, &settings));
}

#[test]
fn problems_of_meaning_are_told_at_once_with_their_places() {
    let long = "x".repeat(250);
    let file = format!(
        r#"
cluster = ""
[kafka]
bootstrap_servers = "ok:1,bad:99999,http//x"
group_id = " a"
[source]
topics = ["a b", "^audit-.*", "twice", "twice", "", "..", "{long}", "kubetell.alerts"]
cluster_from = "header:"
wrapper = ""
[observations]
topic = "same"
[dead_letters]
topic = "same"
[admin]
listen = "9464"
"#
    );
    let text = problems(&file, &[("HOME", "")], &[]);
    insta::assert_snapshot!(text);
    for from in ["cluster", "field:a", "field:/a~2", "header"] {
        let text = problems("", &[], &[&format!("source.cluster_from={from}")]);
        assert!(text.starts_with("--set: `source.cluster_from`: "), "{text}");
        assert!(text.contains("\nhint: "), "{text}");
    }
}

#[test]
fn problems_of_properties_are_told_at_once_with_their_places() {
    let file = r#"
[kafka.properties]
enable.auto.commit = true
"enable.auto.commit" = false
auto.offset.reset = "latest"
"group.id" = "x"
acks = 1
client.id = "a"
"client.id" = "b"
sasl.passwort = "x"
socket.timeout.ms = "soon"
linger.ms = [1]
"#;
    let environment = [("KUBETELL_KAFKA__PROPERTIES__BOOTSTRAP_SERVERS", "x")];
    let settings = ["kafka.properties.transactional.id=x", "kafka.properties=x"];
    insta::assert_snapshot!(problems(file, &environment, &settings));
}

#[test]
fn syntax_errors_are_told_with_their_places_and_without_the_text() {
    let file = format!(
        "cluster = \"a\"\ncluster = \"b\"\n[kafka.properties]\n\
         sasl.password = {SECRET}\nssl.key.password = \"{SECRET}\n[broken\n"
    );
    let text = problems(&file, &[], &["kafka.group_id="]);
    insta::assert_snapshot!(text);
    assert!(!text.contains(SECRET));
}

#[test]
fn what_lacks_its_quotes_or_brackets_is_told_how_to_be_written() {
    let check = |file: &str, hint: &str| {
        let text = problems(file, &[], &[]);
        assert!(text.contains(&format!("hint: {hint}")), "{text}");
    };
    check("[source]\ntopics = \"audit\"\n", "write it as a list: [\"audit\"]");
    check("[source]\nstart = newest\n", "a text stands in quotes");
    check("[source]\nstart = first\n", "a text stands in quotes");
    for file in
        ["[source]\ntopics = 1\n", "[source]\ntopics = [1]\n", "[new_terms]\nlearning = [\"1d\"]\n"]
    {
        let text = problems(file, &[], &[]);
        assert!(text.contains(" must be ") && !text.contains("write it as a list"), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let check = |name: &str, content: Option<&[u8]>, expected: &str| {
        let path = directory.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let inputs = Inputs { file: Some(path), ..inputs(&[], &["zzz=1"]) };
        let errors = load(&inputs).unwrap_err();
        let text = errors.problems[0].to_string();
        assert!(text.starts_with("cannot read configuration file `"), "{text}");
        assert!(text.contains(expected), "{text}");
        assert_eq!(errors.problems.len(), 2, "the other layers are checked all the same");
    };
    check("absent.toml", None, "No such file");
    check("latin1.toml", Some(b"cluster = \"\xe4\""), "not valid UTF-8");
    let large = vec![b'#'; crate::limits::CONFIG_FILE_MAX_BYTES as usize + 1];
    check("large.toml", Some(&large), "larger than 1024 KiB");
}

#[test]
fn a_value_that_is_no_utf8_is_refused_without_being_shown() {
    use std::os::unix::ffi::OsStringExt;
    let mut inputs = inputs(&[], &[]);
    for name in ["KUBETELL_CLUSTER", "KUBETELL_KAFKA__PROPERTIES__SASL_PASSWORD"] {
        inputs.environment.push((name.into(), OsString::from_vec(b"secret\xff".to_vec())));
    }
    let text = load(&inputs).unwrap_err().to_string();
    assert_eq!(
        text,
        "env KUBETELL_CLUSTER: value of `cluster` is not valid UTF-8\n\
         env KUBETELL_KAFKA__PROPERTIES__SASL_PASSWORD: value of `sasl.password` is not valid UTF-8"
    );
}

#[test]
fn the_list_of_problems_is_bounded() {
    let file: String = (0..1_000).map(|i| format!("zz{i} = 1\n")).collect();
    let errors = load_text(&file, &inputs(&[], &[])).unwrap_err();
    assert_eq!(errors.problems.len(), crate::limits::CONFIG_PROBLEMS_MAX);
    assert_eq!(errors.omitted, 1_000 - errors.problems.len());
    assert!(errors.to_string().ends_with("\nand 950 more"));
}

#[test]
fn secrets_are_never_displayed() {
    let file = format!("[kafka.properties]\n'ssl.key.pem' = '{SECRET}'\n");
    let environment = [("KUBETELL_KAFKA__PROPERTIES__SASL_PASSWORD", SECRET)];
    let setting = format!("kafka.properties.ssl.keystore.password={SECRET}");
    let set = [setting.as_str(), "kafka.properties.sasl.username=kubetell"];
    let loaded = loaded(&file, &environment, &set);

    let in_clear = loaded.config.kafka.properties.expose().filter(|(_, value)| *value == SECRET);
    assert_eq!(in_clear.count(), 3, "the client library gets them");
    let shown = [
        show_toml(&loaded.provenance),
        show_json(&loaded.provenance).to_string(),
        format!("{loaded:?} {loaded:#?}"),
        format!("{:?}", inputs(&[], &set).settings),
    ];
    for text in shown {
        assert!(!text.contains(SECRET), "{text}");
    }

    // Wrong values of secrets are not repeated either.
    for name in ["ssl.key.password", "sasl.oauthbearer.method", "enable.sasl.oauthbearer.token"] {
        let text = problems("", &[], &[&format!("kafka.properties.{name}={SECRET}\0")]);
        assert!(!text.contains(SECRET), "{text}");
    }
    let text = problems("", &[], &[&format!("kafka.properties.sasl.oauthbearer.method={SECRET}")]);
    assert!(!text.contains(SECRET), "{text}");
}

#[test]
fn values_of_properties_come_from_files_and_variables() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    let path = path.to_str().unwrap();
    let quoted = format!("${{FILE:{path}}}");
    let by_variable = ("KUBETELL_KAFKA__PROPERTIES__SASL_PASSWORD_FILE", path);
    let check = |file: &str, environment: &[(&str, &str)], settings: &[&str], source: &str| {
        let loaded = loaded(file, environment, settings);
        let found: Vec<(&str, &str)> = loaded.config.kafka.properties.expose().collect();
        assert_eq!(found, [("sasl.password", SECRET)], "{file}");
        let shown = show_toml(&loaded.provenance);
        let line = shown.lines().find(|line| line.contains("sasl.password")).unwrap();
        let expected = format!("{:<48} # {source}", "\"sasl.password\" = \"********\"");
        assert_eq!(line, expected);
        let json = show_json(&loaded.provenance);
        let expected = serde_json::json!({ "value": HIDDEN, "source": source });
        assert_eq!(json["kafka.properties.sasl.password"], expected);
        for text in [shown, json.to_string(), format!("{loaded:?}")] {
            assert!(!text.contains(SECRET), "{text}");
        }
    };
    let file = format!("[kafka.properties]\n'sasl.password' = '{quoted}'\n");
    check(&file, &[], &[], &format!("kubetell.toml:2:1, file {path}"));
    let file = format!("[kafka.properties]\nsasl.password_file = '{path}'\n");
    check(&file, &[], &[], &format!("kubetell.toml:2:6, file {path}"));
    let source = format!("env {}, file {path}", by_variable.0);
    check("", &[by_variable], &[], &source);
    let file = "[kafka.properties]\nsasl.password = '${ENV:KAFKA}'\n";
    check(file, &[("KAFKA", SECRET)], &[], "kubetell.toml:2:6, env KAFKA");
    let setting = format!("kafka.properties.sasl.password={quoted}");
    check("", &[], &[&setting], &format!("--set, file {path}"));
    // What is overridden is not looked for, be it set by the other spelling.
    let file = "[kafka.properties]\nsasl.password = '${FILE:/no/such}'\n";
    check(file, &[by_variable], &[], &source);
    check(
        file,
        &[],
        &["kafka.properties.sasl.password=x", &setting],
        &format!("--set, file {path}"),
    );
}

#[test]
fn what_was_looked_up_is_hidden_in_every_property() {
    let file = "[kafka.properties]\nsasl.username = '${ENV:A}'\nsecurity.protocol = '${ENV:A}'\n";
    let text = problems(file, &[("A", SECRET)], &[]);
    assert_eq!(
        text,
        "kubetell.toml:3:10: property `security.protocol`: librdkafka does not take the value"
    );
    let loaded = loaded("[kafka.properties]\nsasl.username = '${ENV:A}'\n", &[("A", SECRET)], &[]);
    let shown = format!("{}{:?}", show_toml(&loaded.provenance), loaded.config);
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn values_that_are_nowhere_are_told_at_once_with_their_places() {
    let file = r#"
[kafka.properties]
sasl.password_file = '/no/such/file'
sasl.pasword_file = '/no/such/file'
acks_file = '/no/such/file'
ssl.key.password = 'hunter2${FIEL:/a}'
ssl.key.pem = '${FILE:}'
sasl.username = '${ENV:ABSENT}'
ssl.keystore.password = 'hunter2'
ssl.keystore.password_file = '/no/such/file'
client.id = "${FILE:/no/such\u001b[31m}"
"#;
    let environment = [
        ("KUBETELL_KAFKA__PROPERTIES__SSL_CA_PEM", "${FILE:/}"),
        ("KUBETELL_KAFKA__PROPERTIES__SSL_CA_PEM_FILE", "/"),
    ];
    let text = problems(file, &environment, &[]);
    insta::assert_snapshot!(text);
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn show_names_the_source_of_each_value() {
    let file = "cluster = \"prod\"\n[source]\ntopics = [\"a\", \"b\"]\n";
    let environment = [("KUBETELL_KAFKA__PROPERTIES__SASL_PASSWORD", SECRET)];
    let loaded = loaded(file, &environment, &["new_terms.learning=1h"]);
    insta::assert_snapshot!("show_toml", show_toml(&loaded.provenance));
    insta::assert_snapshot!("show_json", format!("{:#}", show_json(&loaded.provenance)));
}

#[test]
fn what_show_prints_reads_back_as_the_same_configuration() {
    let settings = ["cluster=a\"b\\c", "kafka.properties.client.id=x", "detect.workers=2"];
    let first = loaded("", &[], &settings);
    let second = loaded(&show_toml(&first.provenance), &[], &[]);
    assert_eq!(first.config, second.config);
}

/// The template with every commented key made active.
fn template_in_full() -> String {
    let active = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.contains(" = ") && !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    template().lines().map(|line| active(line) + "\n").collect()
}

#[test]
fn template_is_valid_and_holds_every_key_with_its_default() {
    insta::assert_snapshot!(template());
    let defaults = config("", &[], &[]);
    assert_eq!(config(&template(), &[], &[]), defaults);

    let loaded = loaded(&template_in_full(), &[], &[]);
    assert_eq!(loaded.config.kafka.properties.len(), 4);
    for key in keys::KEYS.iter().filter(|key| key.path != "state.directory") {
        let source = loaded.provenance.source(key.path);
        assert!(matches!(source, Some(Source::File { .. })), "{}", key.path);
    }
}

#[test]
fn schema_takes_what_the_reader_takes_and_refuses_what_it_refuses() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let check = |text: &str, valid: bool| {
        let value: serde_json::Value = toml::from_str(text).unwrap();
        assert_eq!(validator.is_valid(&value), valid, "{text}");
        assert_eq!(load_text(text, &inputs(&[], &[])).is_ok(), valid, "{text}");
    };
    check("", true);
    check(&template(), true);
    check(&template_in_full(), true);
    check("[kafka.properties]\nssl.ca.location = 'x'\n'linger.ms' = 5\n", true);
    check("[detect]\nmax_in_flight_bytes = '5MB'\n", true);
    check("zzz = 1", false);
    check("[kafka]\nzzz = 1", false);
    check("delivery = 'exactly-once'", false);
    check("[observations]\npartitions = 0", false);
    check("[new_terms]\nlearning = '7'", false);
    check("[new_terms]\nlearning = 7", false);
    check("[detect]\nmax_in_flight_bytes = '5mB'\n", false);
    check("[source]\ntopics = 'a'", false);
}

#[test]
fn stored_schema_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/config.schema.json");
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    let generated = format!("{:#}\n", schema());
    assert!(
        stored == generated,
        "run `kubetell schema config > schemas/config.schema.json` and look at the difference"
    );
}

#[test]
fn deeply_nested_tables_are_an_error_and_no_crash() {
    for depth in [100, 100_000] {
        let path = vec!["a"; depth].join(".");
        for text in [
            format!("[kafka.properties]\n{path} = 1\n"),
            format!("[kafka.properties.{path}]\nx = 1\n"),
            format!("{path} = 1\n"),
            format!("rules = {}\n", "[".repeat(depth)),
        ] {
            assert!(load_text(&text, &inputs(&[], &[])).is_err());
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}", key in "[a-z_.]{0,20}", value in ".{0,40}") {
        let _ = load_text(&text, &inputs(&[], &[]));
        let file = format!("[kafka.properties]\n{key} = {value}\n{text}");
        let _ = load_text(&file, &inputs(&[], &[]));
        for key in [key.as_str(), "source.topics", "cluster", "new_terms.learning"] {
            let setting = Setting { key: key.to_owned(), value: value.clone() };
            let variable = (keys::environment_name(key).into(), value.clone().into());
            let inputs = Inputs { file: None, environment: vec![variable], settings: vec![setting] };
            if let Err(errors) = load(&inputs) {
                let controls = |c: char| c.is_control() && c != '\n';
                assert!(!errors.to_string().contains(controls), "{errors}");
            }
        }
    }
}

/// A key as docs/configuration.md has it.
fn row(key: &keys::Key) -> String {
    let kind = match key.kind {
        Kind::Text => "text".to_owned(),
        Kind::List => "list of texts".to_owned(),
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::Integer { min, max } => format!("{min} to {max}"),
        Kind::Duration { .. } => "duration".to_owned(),
        Kind::Size { .. } => "size".to_owned(),
        Kind::Choice { values, .. } => {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            values.join(", ")
        }
    };
    let about = key.about.join(" ").replace('|', "\\|").replace('<', "\\<");
    format!("| `{}` | {kind} | `{}` | {about} |", key.path, key.default)
}

#[test]
fn every_key_is_documented() {
    let documented = include_str!("../../docs/configuration.md");
    let rows: Vec<String> = keys::KEYS.iter().map(row).collect();
    let is_key = |line: &&str| {
        let name = line.strip_prefix("| `").and_then(|line| line.split_once("` | "));
        name.is_some_and(|(name, _)| !name.starts_with("kafka.properties"))
    };
    let found: Vec<&str> = documented.lines().filter(is_key).collect();
    assert_eq!(found, rows, "docs/configuration.md needs these rows:\n{}", rows.join("\n"));
}
