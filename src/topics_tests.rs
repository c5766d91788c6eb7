use rdkafka::error::KafkaError;

use super::brokers::{ATTEMPT_MIN, REQUEST_MAX, attempt_time};
use super::wanted::setting_fits;
use super::*;

#[test]
fn settings_that_would_lose_state_are_refused() {
    let check = |key: &str, actual: &str, wanted: &str, fits: bool| {
        assert_eq!(setting_fits(key, actual, wanted).0, fits, "{key}={actual}");
    };
    check("cleanup.policy", "compact,delete", "compact,delete", true);
    check("cleanup.policy", "delete, compact", "compact,delete", true);
    check("cleanup.policy", "compact", "compact,delete", false);
    check("cleanup.policy", "delete", "compact,delete", false);
    check("message.timestamp.type", "CreateTime", "LogAppendTime", false);
    check("message.timestamp.type", "LogAppendTime", "LogAppendTime", true);
    check("min.compaction.lag.ms", "0", "86400000", false);
    check("min.compaction.lag.ms", "86400000", "86400000", true);
    check("retention.ms", "604800000", "691200000", false);
    check("retention.ms", "-1", "691200000", true);
    check("retention.bytes", "1000", "-1", false);
    check("retention.bytes", "-1", "-1", true);
    check("segment.ms", "604800000", "14400000", true);
}

#[test]
fn a_topic_that_is_absent_is_told_with_those_that_there_are() {
    let check = |absent: &str, names: &[&str], text: &str| {
        assert_eq!(others_text(absent, names.iter().copied()), text, "{absent}");
    };
    let few = ["orders", "k8s-audit", "__consumer_offsets"];
    check("K8s-Audit", &few, "; did you mean `k8s-audit`?");
    check("k8s-audits", &few, "; did you mean `k8s-audit`?");
    check("kubernetes", &few, "; there are: `k8s-audit`, `orders`");
    check("x", &["__consumer_offsets"], "; there is no other topic that this client may see");
    let many = ["a", "b", "c", "d", "e", "f", "g"];
    check("kubernetes", &many, "; there are: `a`, `b`, `c`, `d`, `e` and 2 more");
}

#[test]
fn brokers_that_nobody_named_are_said_to_be_the_default() {
    let check = |servers: &str, is_default: bool| {
        let reason = "a:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused";
        let (servers, reason) = (servers.to_owned(), reason.to_owned());
        let hints = TopicsError::Unreachable { servers, waited: CONNECT_MAX, reason }.hints();
        assert!(hints[0].starts_with("nothing listens there"), "{hints:?}");
        assert_eq!(hints[0].contains("--config FILE"), is_default, "{hints:?}");
    };
    check("localhost:9092", true);
    check("kafka:9092", false);
}

#[test]
fn whoever_waits_for_a_short_time_is_told_that_a_broker_may_be_slow() {
    let check = |waited: Duration, reason: &str, is_told: bool| {
        let (servers, reason) = ("a:1".to_owned(), reason.to_owned());
        let hints = TopicsError::Unreachable { servers, waited, reason }.hints();
        assert_eq!(hints[0].contains("--timeout"), is_told, "{hints:?}");
    };
    let short = Duration::from_secs(5);
    check(short, "Local: Broker transport failure", true);
    check(short, "a:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused", false);
    check(CONNECT_MAX, "Local: Broker transport failure", false);
}

#[test]
fn problems_say_what_to_do() {
    use RDKafkaErrorCode::{TopicAuthorizationFailed, UnknownTopicOrPartition};
    let mut text = String::new();
    let mut add = |problem: Problem| {
        text.push_str(&format!("{}\n  hint: {}\n", problem.message, problem.hint));
    };
    for (role, ours) in [("source", false), ("alerts", true), ("observations", true)] {
        add(absent(role, "t", UnknownTopicOrPartition, ours));
        add(absent(role, "t", TopicAuthorizationFailed, ours));
    }
    add(absent("source", "t", RDKafkaErrorCode::LeaderNotAvailable, false));
    add(undescribed("t", "ClusterAuthorizationFailed"));
    for (key, actual, wanted) in [
        ("cleanup.policy", "delete", "compact,delete"),
        ("message.timestamp.type", "CreateTime", "LogAppendTime"),
        ("min.compaction.lag.ms", "0", "86400000"),
        ("retention.ms", "604800000", "691200000"),
        ("retention.ms", "a week", "691200000"),
        ("retention.bytes", "1000", "-1"),
    ] {
        text.push_str(&format!("{key}={actual}: {}\n", setting_fits(key, actual, wanted).1));
    }
    insta::assert_snapshot!("problems", text);
}

/// A start in the second of a broker's death once ended with 78, after which no supervisor
/// tries again.
#[test]
fn a_broker_that_goes_away_is_no_problem_of_configuration() {
    use RDKafkaErrorCode as Code;
    for code in [Code::OperationTimedOut, Code::BrokerTransportFailure, Code::NotController] {
        assert!(passes(&KafkaError::AdminOp(code)), "{code}");
        assert!(passes(&KafkaError::MetadataFetch(code)), "{code}");
    }
    for code in [Code::TopicAuthorizationFailed, Code::PolicyViolation, Code::InvalidConfig] {
        assert!(!passes(&KafkaError::AdminOp(code)), "{code}");
    }
}

#[test]
fn every_problem_is_told_with_a_hint_of_its_own() {
    let problem =
        |number: u8| Problem { message: format!("wrong {number}"), hint: format!("do {number}") };
    let error = TopicsError::Problems(vec![problem(1), problem(2)]);
    assert_eq!(error.to_string(), "wrong 1\nwrong 2");
    assert_eq!(error.hints(), ["do 1", "do 2"]);
    for (waited, text) in [(CONNECT_MAX, "30 s"), (Duration::from_millis(1_500), "1.5 s")] {
        let (servers, reason) = ("a:1,b:2".to_owned(), "r".to_owned());
        let error = TopicsError::Unreachable { servers, waited, reason };
        assert_eq!(error.to_string(), format!("no broker of `a:1,b:2` answered within {text}: r"));
        assert_eq!(error.hints().len(), 1);
    }
}

/// A request that is cut off at the end of a short wait once kept a slow broker from being heard.
#[test]
fn the_last_attempt_has_all_the_time_that_is_left() {
    let ms = Duration::from_millis;
    assert_eq!(attempt_time(ms(30_000), ms(500)), ms(500));
    assert_eq!(attempt_time(ms(3_250), ms(2_000)), ms(3_250));
    assert_eq!(attempt_time(ms(14_000), ms(5_000)), REQUEST_MAX);
    assert_eq!(attempt_time(ms(0), ms(500)), ATTEMPT_MIN);
}
