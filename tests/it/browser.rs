//! The status page of a service on a real Kafka, seen by a real browser.
//!
//! `tests/browser/look.cjs` says what stands on the page; here it is judged. `tests/run` passes the
//! browser and the modules that drive it in `KUBETELL_BROWSER` and `KUBETELL_BROWSER_MODULES`;
//! without them this fails rather than passes unseen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use kubetell::alert::visible::visible;
use serde_json::{Value, json};

use crate::admin::{ANY_PORT, address, samples, scrape, sum};
use crate::kafka::DEADLINE;
use crate::kafka::broker;
use crate::kafka::client::Record;
use crate::kafka::process::Process;
use crate::pipeline::Stream;
use crate::support::{self, eventually};

/// What somebody might send who knows that it will be shown: markup, and what turns or hides text.
const HOSTILE: [&str; 8] = [
    "<img src=x onerror=window.ran=1>",
    "<script>window.ran=2</script>",
    "\"><svg onload=window.ran=3><circle r=9></svg>",
    "</p></li></ol><iframe srcdoc=\"<script>parent.ran=4</script>\"></iframe>",
    "javascript:window.ran=5//",
    "<a href=javascript:window.ran=6 style=position:fixed;inset:0>&lt;b&gt;&#60;</a>",
    "admin\u{202e}txt.exe\u{2066}\u{200f}\u{feff}\u{7}\u{1b}[31m\u{0}\u{2028}\nsecond\r\tline",
    "\u{627}\u{644}\u{645}\u{62f}\u{64a}\u{631} <b>\u{5d0}</b> ${window.ran=7} {{ran}}",
];
/// Longer than what an alert shows of it, without a place to break.
const LONG: usize = 3_000;
/// What an alert shows of a text at most.
const SHOWN_MAX_CHARS: usize = 600;

fn hostile() -> Vec<String> {
    HOSTILE.iter().map(|text| (*text).to_owned()).chain(["w".repeat(LONG)]).collect()
}

/// As the page shows a text of an event.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX_CHARS) {
        Some((end, _)) => format!("{}…", visible(&text[..end], usize::MAX)),
        None => visible(text, usize::MAX),
    }
}

fn changed(event: Vec<u8>, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(&event).unwrap();
    change(&mut event);
    event.to_string().into_bytes()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Execs whose user, client, command and pod are hostile, and reads of secrets by such users.
fn hostile_events() -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    for (number, text) in hostile().iter().enumerate() {
        events.push(changed(support::exec_event(&format!("exec-{number}")), |event| {
            event["user"]["username"] = json!(text);
            event["userAgent"] = json!(text);
            event["objectRef"]["name"] = json!(text);
            event["requestURI"] = json!(format!(
                "/api/v1/namespaces/n/pods/p/exec?command=cat&command=%2Fetc%2Fshadow&command={}",
                encoded(text)
            ));
        }));
        events.push(support::secret_event(&format!("secret-{number}"), text));
    }
    events
}

fn from_environment(name: &str) -> PathBuf {
    let path = std::env::var_os(name).map(PathBuf::from).unwrap_or_default();
    assert!(
        path.exists(),
        "this test needs a browser and what drives it, and {name} (`{}`) is not there: use \
         `tests/run`, which fetches them, instead of `cargo test`",
        path.display()
    );
    path
}

/// What the browser saw; `name` is for the pictures.
fn look(address: &str, name: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/look.cjs");
    let mut command = Command::new("node");
    command
        .arg(script)
        .args([&format!("http://{address}/"), name])
        .env("NODE_PATH", from_environment("KUBETELL_BROWSER_MODULES"))
        .env("KUBETELL_BROWSER", from_environment("KUBETELL_BROWSER"));
    let finished = Process::spawn(command).wait(DEADLINE * 2);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    serde_json::from_slice(&finished.stdout).unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap_or("(no text)")).collect()
}

/// Nothing is said by the browser, nothing asked of others, no rule of the policy broken.
fn is_quiet(view: &Value, address: &str) {
    assert_eq!(view["said"], json!([]), "the console is empty");
    assert_eq!(view["broken"], json!([]), "the policy is kept");
    assert_eq!((&view["ran"], &view["seen"]["ran"]), (&Value::Null, &Value::Null), "no script ran");
    let asked = texts(&view["asked"]);
    let own = format!("http://{address}/");
    assert!(asked.len() >= 4 && asked.iter().all(|url| url.starts_with(&own)), "{asked:?}");
}

/// axe finds nothing at all, and has looked.
fn is_accessible(view: &Value) {
    assert!(view["axe"]["passed"].as_u64().unwrap() > 30, "{:#}", view["axe"]);
    assert_eq!(view["axe"]["violations"], json!([]), "{:#}", view["axe"]);
}

/// The keyboard comes to everything that can be used, in its order, sees where it is, and uses it.
fn goes_by_keyboard(view: &Value) {
    let keyboard = &view["keyboard"];
    assert_eq!(keyboard["reached"], keyboard["controls"]);
    assert_eq!(keyboard["unmarked"], json!([]), "the focus is seen");
    let controls = texts(&keyboard["controls"]).join(" ");
    for control in ["To the content", "pause", "more", "numbers", "/status", "/metrics"] {
        assert!(controls.contains(control), "{control}: {controls}");
    }
    let (before, after) = (&view["uses"]["before"], &view["uses"]["after"]);
    assert_eq!((&before["pressed"], &after["pressed"]), (&json!("false"), &json!("true")));
    assert_eq!((&before["details"], &after["details"]), (&json!(false), &json!(true)));
    assert_eq!((&before["expanded"], &after["expanded"]), (&json!("false"), &json!("true")));
    assert_eq!((&before["alerts"], &before["more"]), (&json!(8), &json!(number_of_all(view))));
    let newest = view["after"]["status"]["alerts"]["newest"].as_array().unwrap();
    assert_eq!(after["alerts"], json!(newest.len()));
    assert_eq!(after["focused"], "main", "the skip link skips");
}

fn number_of_all(view: &Value) -> String {
    let newest = view["before"]["status"]["alerts"]["newest"].as_array().unwrap();
    format!("Show all {}", newest.len())
}

/// Nothing stands out at the side.
fn fits(view: &Value) {
    let seen = &view["seen"];
    assert_eq!(seen["wide"], json!([]));
    assert_eq!(seen["scroll_width"], seen["width"]);
    let phone = view["name"].as_str().unwrap().starts_with("phone");
    assert_eq!(seen["width"], if phone { 390 } else { 1400 });
}

/// Dark on light or light on dark, as asked.
fn has_its_colours(view: &Value) {
    let brightness = |of: &str| {
        let text = view["seen"][of].as_str().unwrap();
        let parts = text.trim_matches(|c: char| !c.is_ascii_digit()).split(", ");
        parts.map(|part| part.parse::<u32>().unwrap()).sum::<u32>()
    };
    let dark = view["name"].as_str().unwrap().ends_with("dark");
    assert_eq!(brightness("ground") < brightness("ink"), dark, "{}", view["seen"]["ground"]);
}

/// The metric that a figure of the page has to equal.
fn metric(figure: &str) -> Option<String> {
    let name = match figure {
        "records" => "kubetell_source_records_total",
        "events" => "kubetell_events_total",
        "prefiltered" => "kubetell_source_prefiltered_records_total",
        "bytes" => "kubetell_source_bytes_total",
        "alerts" => "kubetell_alerts_total",
        "alerts_of_detect" => "kubetell_produce_seconds_count{half=\"detect\",kind=\"alert\"}",
        "alerts_of_first_seen" => {
            "kubetell_produce_seconds_count{half=\"first-seen\",kind=\"alert\"}"
        }
        "observations" => "kubetell_observations_total",
        "folded" => "kubetell_observations_folded_total",
        "learned" => "kubetell_terms_learned_total",
        "dead_letters" => "kubetell_dead_letters_total",
        "rules" => "kubetell_rules",
        "exceptions" => "kubetell_exceptions",
        _ => {
            let mut parts = figure.split(':');
            return match [(); 4].map(|()| parts.next()) {
                [Some("rule"), Some(rule), None, _] => {
                    Some(format!("kubetell_alerts_total{{rule=\"{rule}\"}}"))
                }
                [Some("source"), Some(topic), None, _] => {
                    Some(format!("kubetell_source_records_total{{topic=\"{topic}\"}}"))
                }
                [Some("lag"), Some(half), Some(topic), Some(partition)] => Some(format!(
                    "kubetell_consumer_lag_records{{half=\"{half}\",topic=\"{topic}\",partition=\"{partition}\"}}"
                )),
                _ => None,
            };
        }
    };
    Some(name.to_owned())
}

fn bytes(value: f64) -> String {
    assert!((1024.0..1024.0 * 1024.0).contains(&value), "the test sends some kilobytes: {value}");
    let text = format!("{:.1}", value / 1024.0);
    format!("{} KiB", text.trim_end_matches(".0"))
}

/// Each figure is the one of `/metrics`, asked before and after: the stream has come to rest, and
/// what still moves lies between.
fn figures_are_true(view: &Value, stream: &Stream) {
    let of = |moment: &str| samples(view[moment]["metrics"].as_str().unwrap());
    let (before, after) = (of("before"), of("after"));
    let figures: BTreeMap<String, Vec<String>> =
        serde_json::from_value(view["seen"]["figures"].clone()).unwrap();
    for (figure, texts) in &figures {
        let metric = metric(figure).unwrap_or_else(|| panic!("an unknown figure: {figure}"));
        let (before, after) = (sum(&before, &metric), sum(&after, &metric));
        for text in texts {
            if figure == "bytes" {
                assert_eq!((text, before), (&bytes(after), after), "{figure}");
                continue;
            }
            let value: f64 = text.replace(',', "").parse().unwrap();
            assert!(before <= value && value <= after, "{figure}: {before} {value} {after}");
        }
    }
    for needed in ["records", "bytes", "prefiltered", "events", "observations", "folded"] {
        assert!(figures.contains_key(needed), "{needed}");
    }
    for needed in ["alerts", "alerts_of_detect", "alerts_of_first_seen", "dead_letters"] {
        assert!(figures.contains_key(needed), "{needed}");
    }
    let of_kind = |kind: &str| figures.keys().filter(|name| name.starts_with(kind)).count();
    assert_eq!((of_kind("lag:"), of_kind("rule:"), of_kind("source:")), (10, 2, 1));
    assert!(figures.contains_key(&format!("source:{}", stream.source())));
}

/// The rest of the page is what `/status` says.
fn says_what_the_status_says(view: &Value) {
    let (status, seen) = (&view["after"]["status"], &view["seen"]);
    // All of them: the keyboard has asked for more than the first.
    let alerts = view["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), newest(status).len());
    for (one, left) in alerts.iter().zip(newest(status)) {
        let exec = left["rule"] == "pod-exec-sensitive-path";
        assert_eq!(one["severity"], if exec { "High" } else { "Low" }, "{left:#}");
        assert_eq!(one["message"], left["message"]);
        let text = one["text"].as_str().unwrap();
        for field in ["id", "rule", "outcome", "cluster", "time"] {
            assert!(text.contains(left[field].as_str().unwrap()), "{field}: {text}");
        }
        let user = visible(left["user"].as_str().unwrap(), usize::MAX);
        assert!(text.contains(&format!("User{user}")), "{user}: {text}");
    }
    let rows: Vec<String> = status["partitions"].as_array().unwrap().iter().map(row).collect();
    let of_page = seen["partitions"].as_array().unwrap().iter();
    let of_page: Vec<String> = of_page
        .map(|cells| {
            let mut cells = texts(cells);
            // The age grows meanwhile.
            cells.remove(3);
            cells.join(" | ").replace(',', "")
        })
        .collect();
    assert_eq!(of_page, rows);
    let warnings: Vec<&str> =
        texts(&seen["warnings"]).iter().map(|text| text.trim_start_matches("⚠ ")).collect();
    assert_eq!(json!(warnings), status["warnings"], "a broken record is warned of");
    assert_eq!(seen["verdict"], "Ready, one warning");
    let health = texts(&seen["health"]);
    assert_eq!(health.len(), status["ready"]["checks"].as_array().unwrap().len());
    assert!(health.iter().all(|check| check.contains(": yes (")), "{health:?}");
    let bars = texts(&seen["bars"]);
    let counts = status["alerts"]["over_time"]["by_rule"].as_object().unwrap();
    assert_eq!(bars.len(), counts.len());
    for (bar, (rule, minutes)) in bars.iter().zip(counts) {
        let minutes: Vec<u64> = serde_json::from_value(minutes.clone()).unwrap();
        let (count, most) = (minutes.iter().sum::<u64>(), minutes.iter().max().unwrap());
        assert_eq!(*bar, format!("{rule}: {count} alerts, at most {most} in a minute"));
    }
}

fn newest(status: &Value) -> &[Value] {
    status["alerts"]["newest"].as_array().unwrap()
}

/// A partition, but for its age.
fn row(one: &Value) -> String {
    let state = if one["restoring"] == true { "being taken over" } else { "read" };
    format!(
        "{} {} | {} | {} | {} | {} | {state}",
        one["topic"].as_str().unwrap(),
        one["partition"],
        one["half"].as_str().unwrap(),
        one["lag"],
        one["done"],
        one["end"]
    )
}

/// What is hostile stands there as text, and no element is made of it.
fn hostile_text_is_text(view: &Value) {
    let seen = &view["seen"];
    let text = seen["text"].as_str().unwrap();
    let unseen = |c: &char| c.is_control() && *c != '\n' || visible(&c.to_string(), 99).len() > 4;
    let unseen: BTreeSet<char> = text.chars().filter(unseen).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
    assert_eq!(seen["alert_attributes"], json!(["class"]));
    let allowed = ["dd", "div", "dl", "dt", "li", "p", "span", "strong", "time"];
    assert_eq!(seen["in_alerts"], json!(allowed));
    let elements = seen["elements"].as_object().unwrap();
    assert_eq!(
        (&elements["script"], &elements["a"], &elements["svg"]),
        (&json!(1), &json!(5), &json!(2))
    );
    for foreign in ["img", "iframe", "circle", "b", "object", "embed", "style", "base", "form"] {
        let count = if foreign == "b" { json!(6) } else { Value::Null };
        assert_eq!(elements.get(foreign).cloned().unwrap_or_default(), count, "{foreign}");
    }
}

/// Each hostile text as the page shows it: as a user's name, and within a sentence.
fn hostile_texts_are_there(view: &Value) {
    let alerts = view["alerts"].as_array().unwrap().iter();
    let text: String = alerts.map(|one| one["text"].as_str().unwrap()).collect();
    for hostile in hostile() {
        let wanted = format!("User{}Outcome", shown(&hostile));
        assert_eq!(text.matches(&wanted).count(), 2, "{wanted}");
        let sentence = shown(&hostile).replace('"', "\\\"");
        let beginning: String = sentence.chars().take(40).collect();
        assert!(text.matches(&beginning).count() >= 4, "{beginning}");
    }
}

fn judge(seen: &Value, stream: &Stream, address: &str) {
    assert!(seen["browser"].as_str().unwrap().contains("Chrom"), "{}", seen["browser"]);
    let views = seen["views"].as_array().unwrap();
    let names: Vec<&str> = views.iter().map(|view| view["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["light", "dark", "phone-light", "phone-dark"]);
    for view in views {
        is_quiet(view, address);
        is_accessible(view);
        goes_by_keyboard(view);
        fits(view);
        has_its_colours(view);
        figures_are_true(view, stream);
        says_what_the_status_says(view);
        hostile_text_is_text(view);
        hostile_texts_are_there(view);
        assert_eq!(view["outage"]["during"], "No answer; what stands here is old");
        assert_eq!(view["outage"]["after"], "Ready, one warning");
    }
}

#[test]
fn the_page_is_true_safe_and_open_to_everybody() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "browser");
    let process = stream.run("one", &ANY_PORT);
    let address = address(&process);

    let events = hostile_events();
    let alerts = events.len();
    let mut records: Vec<Record> = events.into_iter().map(Record::value).collect();
    records.extend((0..30).map(|_| Record::value(support::quiet_event())));
    records.push(Record::value("{\"auditID\": \"exec secrets /etc/shadow"));
    let records: Vec<Record> =
        records.into_iter().zip((0..6).cycle()).map(|(one, at)| one.partition(at)).collect();
    kafka.produce(&stream.source(), &records);
    eventually(DEADLINE, "everything is raised and no lag is left", || {
        let samples = scrape(&address);
        sum(&samples, "kubetell_source_records_total") == records.len() as f64
            && sum(&samples, "kubetell_alerts_total") == alerts as f64
            && samples.iter().filter(|(key, _)| key.contains("_lag_records")).count() == 10
            && sum(&samples, "kubetell_consumer_lag_records") == 0.0
    });
    judge(&look(&address, "calm"), &stream, &address);

    // What stands behind is not as old as all that was looked at before.
    let fresh = [2, 3].map(|at| Record::value(support::quiet_event()).partition(at));
    kafka.produce(&stream.source(), &fresh);
    eventually(DEADLINE, "it is read", || {
        let samples = scrape(&address);
        sum(&samples, "kubetell_source_records_total") == (records.len() + fresh.len()) as f64
            && sum(&samples, "kubetell_consumer_lag_records") == 0.0
    });

    // The alerts topic is gone for a while and takes nothing: lag is left, and stays as it is.
    kafka.delete_topic(&stream.alerts());
    let mut records = Vec::new();
    for (partition, quiet) in [(2, 6), (3, 12)] {
        let exec = support::exec_event(&format!("late-{partition}"));
        records.push(Record::value(exec).partition(partition));
        let quiet = (0..quiet).map(|_| Record::value(support::quiet_event()).partition(partition));
        records.extend(quiet);
    }
    kafka.produce(&stream.source(), &records);
    let lag_of = |partition: u32| {
        format!(
            "kubetell_consumer_lag_records{{half=\"detect\",topic=\"{}\",partition=\"{partition}\"}}",
            stream.source()
        )
    };
    eventually(DEADLINE, "the lag stands", || {
        let samples = scrape(&address);
        (samples[&lag_of(2)], samples[&lag_of(3)]) == (7.0, 13.0)
    });
    let seen = look(&address, "behind");
    judge(&seen, &stream, &address);
    let figures = &seen["views"][0]["seen"]["figures"];
    let lag = |partition: u32| &figures[format!("lag:detect:{}:{partition}", stream.source())][0];
    assert_eq!((lag(2), lag(3), lag(4)), (&json!("7"), &json!("13"), &json!("0")));

    kafka.create_topic(&stream.alerts(), 2, &[]);
    eventually(DEADLINE, "what was late is raised", || {
        let samples = scrape(&address);
        sum(&samples, "kubetell_alerts_total") == (alerts + 2) as f64
            && sum(&samples, "kubetell_consumer_lag_records") == 0.0
    });
    assert_eq!(process.terminate(DEADLINE).code(), Some(0));
}
