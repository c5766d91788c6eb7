use std::fmt::Write as _;
use std::io::Write as _;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// One event, as lines of text that are easy to compare: one for each record.
fn show(portion: &Portion<'_>) -> Vec<String> {
    match portion {
        Portion::One(FileEvent::Record { line, bytes, .. }) => {
            vec![format!("{line}: {}", String::from_utf8_lossy(bytes))]
        }
        Portion::Run { line, bytes, .. } => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            (*line..).zip(text.lines()).map(|(line, text)| format!("{line}: {text}")).collect()
        }
        Portion::One(FileEvent::Failed { line, class, bytes, .. }) => vec![format!(
            "{}! {class} {}",
            line.map_or("-".to_owned(), |line| line.to_string()),
            bytes.map_or("".into(), String::from_utf8_lossy),
        )],
        Portion::One(FileEvent::Idle) => Vec::new(),
    }
}

fn read(bytes: &[u8], live: bool, limits: Limits) -> Vec<String> {
    let mut seen = Vec::new();
    let mut each = |portion: Portion<'_>| {
        seen.extend(show(&portion));
        true
    };
    let mut sink =
        Sink { path: Arc::from("log"), read: Rc::default(), total: None, each: &mut each };
    let _ = read_source(Box::new(bytes), live, limits, &mut sink);
    seen
}

const SMALL: Limits = Limits { record: 100, chunk: 7 };
const LARGE: Limits = Limits { record: 1 << 20, chunk: 1 << 16 };

#[track_caller]
fn check(text: impl AsRef<[u8]>, expected: &[&str]) {
    assert_eq!(read(text.as_ref(), false, SMALL), expected, "in small reads");
    let other = read(text.as_ref(), true, Limits { chunk: 64, ..SMALL });
    assert_eq!(other, expected, "in larger reads of a pipe");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

#[test]
fn takes_one_value_a_line() {
    check("", &[]);
    check("\n \r\n\n", &[]);
    check("{\"a\":1}\n{\"b\":2}\n", &["1: {\"a\":1}", "2: {\"b\":2}"]);
    check("\r\n{\"a\":1}\r\n\r\n  {\"b\":2}\r\n", &["2: {\"a\":1}", "4: {\"b\":2}"]);
    check("\u{feff}{\"a\":1}\n{}", &["1: {\"a\":1}", "2: {}"]);
    check("\"eyJhIjoxfQ==\"\n\"b\"", &["1: \"eyJhIjoxfQ==\"", "2: \"b\""]);
    check(r#"{"a":"}\"{","b":"\\"}"#, &[r#"1: {"a":"}\"{","b":"\\"}"#]);
    check("[{\"a\":1},{\"b\":[]}]\n{}", &["1: [{\"a\":1},{\"b\":[]}]", "2: {}"]);
    check("\0\0\0\0{\"a\":1}\n{}", &["1: {\"a\":1}", "2: {}"]);
}

#[test]
fn takes_documents_over_several_lines() {
    check("{\n  \"a\": {\n  }\n}\n", &["1: {\n  \"a\": {\n  }\n}"]);
    check(
        "{\n\"a\": [\n]\n}\n\n{\r\n\"b\": 2\r\n}\r\n",
        &["1: {\n\"a\": [\n]\n}", "6: {\n\"b\": 2\r\n}"],
    );
    check("[\n{\"a\":1},\n{\"b\":2}\n]\n{}", &["1: [\n{\"a\":1},\n{\"b\":2}\n]", "5: {}"]);
    check("[\n{\n\"a\":1\n},\n{\n}\n]", &["1: [\n{\n\"a\":1\n},\n{\n}\n]"]);
    check("{\"items\":\n[\n{\"a\":1}\n]}", &["1: {\"items\":\n[\n{\"a\":1}\n]}"]);
    check("{\"a\":1},\n{\"b\":2}\n", &["1: {\"a\":1}", "2: {\"b\":2}"]);
}

#[test]
fn one_bad_line_does_not_spoil_the_others() {
    check(
        "{\"a\":1}\nrefused\n{\"b\":2}\n",
        &["1: {\"a\":1}", "2! not-json refused", "3: {\"b\":2}"],
    );
    check(
        "start\nI0101 x\n{\"b\":2}\n",
        &["1! not-json start", "2! not-json I0101 x", "3: {\"b\":2}"],
    );
    check("{\"a\":1,\n{\"b\":2}\n{}", &["1: {\"a\":1,", "2: {\"b\":2}", "3: {}"]);
    check("{\"a\":\"x\n{\"b\":2}", &["1: {\"a\":\"x", "2: {\"b\":2}"]);
    check("{\"a\":{\"c\":1}\n{\"b\":2}", &["1: {\"a\":{\"c\":1}", "2: {\"b\":2}"]);
    check("{\"a\":1}}\n{\"b\":2}", &["1: {\"a\":1}}", "2: {\"b\":2}"]);
    check("{\"a\":[1}\n{\"b\":2}", &["1: {\"a\":[1}", "2: {\"b\":2}"]);
    check("{\"a\":1}\n{b\n{\"b\":2}", &["1: {\"a\":1}", "2: {b", "3: {\"b\":2}"]);
    check("{\n\"a\": 1,\n{\n\"b\": 2\n}\n", &["1: {\n\"a\": 1,", "3: {\n\"b\": 2\n}"]);
}

#[test]
fn records_taken_into_a_truncated_one_are_found_again() {
    check("{\"a\":[\n{\"b\":1}\n{\"c\":2}", &["1: {\"a\":[", "2: {\"b\":1}", "3: {\"c\":2}"]);
    check("{\"a\":\n{\"b\":1}\n", &["1: {\"a\":", "2: {\"b\":1}"]);
    check(
        "[\n{\"a\":1},\n{\n\"b\":2},\n{\"c\"",
        &["1: [", "2: {\"a\":1}", "3: {\n\"b\":2}", "5: {\"c\""],
    );
    check("{\"a\":[\n{\"b\":[\n{\"c\":[\n", &["1: {\"a\":[", "2: {\"b\":[\n{\"c\":["]);
}

#[test]
fn an_array_beyond_the_bound_comes_in_its_elements() {
    let mut text = "[\n".to_owned();
    let mut expected = vec!["1: [".to_owned()];
    for number in 0..40 {
        writeln!(text, "{{\"number\":{number}}},").unwrap();
        expected.push(format!("{}: {{\"number\":{number}}}", number + 2));
    }
    check(text, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn text_beyond_the_bound_is_cut_and_reading_goes_on() {
    let long = "x".repeat(200);
    check(
        format!("{{}}\n{{\"a\":\"{long}\"}}\n{{\"b\":2}}\n"),
        &["1: {}", "2! too-large ", "3: {\"b\":2}"],
    );
    check(format!("{{\"a\":\"{long}\"}}"), &["1! too-large "]);
    let edge = format!("{{\"a\":\"{}\"}}", "x".repeat(92));
    check(format!("{edge}\n{edge}"), &[&format!("1: {edge}"), &format!("2: {edge}")]);
    let seen = read(format!("{{\n{}}}", "\"a\": 1,\n".repeat(30)).as_bytes(), false, SMALL);
    assert!(seen[0].starts_with("1: {\n\"a\": 1,") && seen[0].len() <= 103, "{seen:?}");
}

#[test]
fn a_file_of_something_else_fails_once() {
    check("kind: Event\nverb: get\n", &["-! not-json "]);
    check("[INFO] started\n[INFO] done\n", &["-! not-json "]);
    check("x\n".repeat(1000), &["-! not-json "]);
    check("x".repeat(1000), &["-! not-json "]);
    check(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\n{\0", &["-! not-json "]);
    let late = format!("{}{{}}\nx", "x\n".repeat(1000));
    check(late, &["-! not-json ", "1001: {}", "1002! not-json x"]);
    let binary = format!("{}{{}}\n", "x\0y\n".repeat(1000));
    check(binary, &["-! not-json "]);
}

#[test]
fn compressed_input_is_read_by_its_magic_numbers() {
    let text = b"{\"a\":1}\n{\"b\":2}\n";
    let expected = &["1: {\"a\":1}", "2: {\"b\":2}"];
    check(gzip(text), expected);
    check(zstd(text), expected);
    check([gzip(&text[..5]), gzip(&text[5..])].concat(), expected);
    check([zstd(&text[..5]), zstd(&text[5..])].concat(), expected);
    check(gzip(b""), &[]);
    // What looks like the beginning of a magic number only.
    check(b"\x1f", &["-! not-json "]);
    check(b"\x28\xb5{}", &["-! not-json "]);
}

#[test]
fn damaged_compressed_input_delivers_what_came_before() {
    let text: String = (0..20_000).fold(String::new(), |mut text, number| {
        writeln!(text, "{{\"number\":{number}}}").unwrap();
        text
    });
    for whole in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
        for limits in [LARGE, SMALL] {
            let seen = read(&whole[..whole.len() - 6], false, limits);
            assert_eq!(seen.last().unwrap(), "-! bad-compression ");
            assert!(seen.len() > 5_000, "{} delivered", seen.len());
        }
    }
    // Two members, the second of which is not one.
    let seen = read(&[gzip(b"{}\n"), b"\x1f\x8b\x08garbage".to_vec()].concat(), false, LARGE);
    assert_eq!(seen, ["1: {}", "-! bad-compression "]);
    // Without compression only the last line is missing its end.
    let whole = gzip(text.as_bytes());
    let seen = read(&whole[..whole.len() - 4], false, LARGE);
    assert_eq!(seen.len(), 20_001);
}

#[test]
fn a_zstd_window_beyond_the_bound_is_refused() {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.window_log(limits::FILE_ZSTD_WINDOW_LOG_MAX + 1).unwrap();
    encoder.write_all(b"{}\n").unwrap();
    check(encoder.finish().unwrap(), &["-! decompression-limit "]);
}

#[test]
fn hostile_lines_are_all_reported_in_linear_time() {
    let lines = 1_000_000;
    for line in ["{", "[", "{\"a\":[", "{\"a\":", "{\"", "}", "\"", "[{", "{\"a\":{}"] {
        let text = format!("{line}\n").repeat(lines);
        let mut reported = 0;
        let mut whole = false;
        let mut each = |event: FileEvent<'_>| {
            match event {
                FileEvent::Record { bytes, .. } => {
                    reported += 1 + memchr::memchr_iter(b'\n', bytes).count();
                }
                FileEvent::Failed { line, .. } => whole |= line.is_none(),
                FileEvent::Idle => {}
            }
            true
        };
        let mut each = |portion: Portion<'_>| one_by_one(portion, &mut each);
        let mut sink =
            Sink { path: Arc::from("log"), read: Rc::default(), total: None, each: &mut each };
        let _ = read_source(Box::new(text.as_bytes()), false, LARGE, &mut sink);
        assert!(whole || reported == lines, "{line}: {reported}");
    }
}

#[test]
fn idle_comes_before_every_read_of_a_pipe_and_never_for_a_file() {
    for (live, expected) in [(true, "idle 1 2 idle 3 idle"), (false, "1 2 3")] {
        let mut parts = ["{}\n{}\n", "{}\n"].iter();
        let source = std::iter::from_fn(|| parts.next());
        let mut seen = Vec::new();
        let mut each = |event: FileEvent<'_>| {
            seen.push(match event {
                FileEvent::Idle => "idle".to_owned(),
                FileEvent::Record { line, .. } => line.to_string(),
                FileEvent::Failed { class, .. } => class.to_owned(),
            });
            true
        };
        let mut each = |portion: Portion<'_>| one_by_one(portion, &mut each);
        let mut sink =
            Sink { path: Arc::from("-"), read: Rc::default(), total: None, each: &mut each };
        let _ = read_source(Box::new(Parts(source)), live, LARGE, &mut sink);
        seen.dedup();
        assert_eq!(seen.join(" "), expected);
    }
}

/// A pipe: each read brings one part.
struct Parts<I>(I);

impl<'a, I: Iterator<Item = &'a &'static str>> Read for Parts<I> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let part = self.0.next().map_or("", |part| part);
        into[..part.len()].copy_from_slice(part.as_bytes());
        Ok(part.len())
    }
}

fn read_all(paths: &[PathBuf]) -> Vec<String> {
    let mut seen = Vec::new();
    read_paths(paths, &mut |event| {
        if let FileEvent::Record { path, .. } | FileEvent::Failed { path, .. } = &event {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            let shown = show(&Portion::One(event)).join("");
            seen.push(format!("{name} {shown}"));
        }
        true
    });
    seen
}

fn tree() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("b/inner")).unwrap();
    for name in ["c.log", "a.log", "b/2.log", "b/inner/1.log"] {
        fs::write(dir.path().join(name), "{}\n{}").unwrap();
    }
    dir
}

#[test]
fn directories_are_read_in_sorted_order_and_loops_are_not_followed() {
    let dir = tree();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("b/loop")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("a.log"), dir.path().join("d.log")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("e.log")).unwrap();
    assert_eq!(
        read_all(&[dir.path().to_owned()]),
        [
            "a.log 1: {}",
            "a.log 2: {}",
            "2.log 1: {}",
            "2.log 2: {}",
            "1.log 1: {}",
            "1.log 2: {}",
            "c.log 1: {}",
            "c.log 2: {}",
            "d.log 1: {}",
            "d.log 2: {}",
            "e.log -! io ",
        ]
    );
}

#[test]
fn a_missing_file_does_not_keep_the_others_from_being_read() {
    let dir = tree();
    let paths = ["missing", "a.log"].map(|name| dir.path().join(name));
    assert_eq!(read_all(&paths), ["missing -! io ", "a.log 1: {}", "a.log 2: {}"]);
}

#[test]
fn progress_reaches_the_sum_of_the_sizes() {
    let dir = tree();
    let mut last = Progress::default();
    read_paths(&[dir.path().to_owned()], &mut |event| {
        if let FileEvent::Record { progress, .. } = event {
            assert!(progress.read >= last.read);
            last = progress;
        }
        true
    });
    assert_eq!((last.read, last.total), (20, Some(20)));
}

#[test]
fn reading_stops_when_the_receiver_says_so() {
    let dir = tree();
    let mut seen = 0;
    read_paths(&[dir.path().to_owned()], &mut |_| {
        seen += 1;
        seen < 3
    });
    assert_eq!(seen, 3);
}

#[test]
fn yaml_is_named_as_such() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    for (text, yaml) in [
        ("# c\nkind: Event\nuser:\n  username: x\n", true),
        ("2025-01-01 error: refused\nplain text\n", false),
    ] {
        fs::write(&path, text).unwrap();
        read_paths(std::slice::from_ref(&path), &mut |event| {
            let FileEvent::Failed { reason, .. } = event else { panic!("a record") };
            assert_eq!(reason.contains("YAML"), yaml, "{reason}");
            true
        });
    }
}

#[test]
fn shared_samples_are_read_where_they_are_present() {
    let shared = std::env::var_os("KUBETELL_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let real = shared.join("data/real");
    for input in list(&[real.join("khi")]) {
        if input.shown().ends_with(".yaml") {
            let seen = read_all(&[input.path]);
            assert!(seen.len() == 1 && seen[0].contains("not-json"), "{seen:?}");
        }
    }
    for input in list(&[real.join("panther")]) {
        if input.shown().ends_with(".jsonl") {
            let lines = fs::read_to_string(&input.path).unwrap().lines().count();
            assert_eq!(read_all(&[input.path]).len(), lines);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        text in "[\\[\\]{}\":,a\\\\ \r\n\0]{0,300}",
        chunk in 1_usize..50,
    ) {
        let limits = Limits { record: 40, chunk };
        read(&bytes, false, limits);
        read(&gzip(&bytes), false, limits);
        let whole = read(text.as_bytes(), false, Limits { chunk: 1000, ..limits });
        prop_assert_eq!(read(text.as_bytes(), true, limits), whole);
        for magic in [GZIP, ZSTD] {
            read(&[magic, &bytes].concat(), false, limits);
        }
    }

    #[test]
    fn every_line_of_good_ones_is_one_record(
        values in prop::collection::vec(("[a-z{}\\[\\]\",\\\\\n]{0,12}", 0_u8..4), 1..20),
        chunk in 1_usize..60,
        feed in prop::sample::select(vec!["\n", "\r\n", "\n\n"]),
        end in any::<bool>(),
    ) {
        let mut text = String::new();
        let mut expected = Vec::new();
        let step = if feed == "\n\n" { 2 } else { 1 };
        for (index, (word, nested)) in values.iter().enumerate() {
            let mut value = serde_json::json!({ "key": word });
            for _ in 0..*nested {
                value = serde_json::json!({ "list": [value, []], word: {} });
            }
            expected.push(format!("{}: {value}", index * step + 1));
            write!(text, "{value}").unwrap();
            if end || index + 1 < values.len() {
                text.push_str(feed);
            }
        }
        let limits = Limits { record: 10_000, chunk };
        prop_assert_eq!(read(text.as_bytes(), false, limits), expected.clone());
        prop_assert_eq!(read(&zstd(text.as_bytes()), false, limits), expected);
    }
}

/// What lines are made of that are records by themselves, begin one, end one, or are none.
const PIECES: [&str; 16] = [
    "{\"a\":1}",
    "{\"b\":[{}]}",
    "{}",
    "{\"a\":{",
    "{\"a\":{}",
    "{\"a\":[",
    "}",
    "]",
    "],",
    "{\"a\":1},",
    "",
    " {\"a\":1}",
    "{\"a\":\"}",
    "{\"a\":\"\\\"}\"}",
    "text",
    "[{\"a\":1}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// One byte at a time, no line is known to be followed by another.
    #[test]
    fn many_lines_at_once_are_what_they_are_one_by_one(
        lines in prop::collection::vec((prop::sample::select(&PIECES[..]), prop::sample::select(&["\n", "\n", "\n", "\r\n"][..])), 0..12),
        chunk in 1..200_usize,
        long in any::<bool>(),
    ) {
        let mut text: String = lines.iter().flat_map(|(line, feed)| [*line, *feed]).collect();
        if long {
            text.push_str(&format!("{{\"a\":\"{}\"}}\n{{\"z\":1}}\n{{}}", "x".repeat(120)));
        }
        let one_by_one = read(text.as_bytes(), false, Limits { chunk: 1, ..SMALL });
        let at_once = read(text.as_bytes(), false, Limits { chunk, ..SMALL });
        prop_assert_eq!(one_by_one, at_once, "{:?}", text);
    }
}

#[test]
fn lines_that_are_records_come_many_at_once() {
    let text = "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n{\"d\":4}";
    let mut runs = Vec::new();
    let mut each = |portion: Portion<'_>| {
        if let Portion::Run { line, bytes, .. } = portion {
            runs.push((line, bytes.iter().filter(|byte| **byte == b'\n').count()));
        }
        true
    };
    let mut sink =
        Sink { path: Arc::from("log"), read: Rc::default(), total: None, each: &mut each };
    assert!(read_source(Box::new(text.as_bytes()), false, LARGE, &mut sink).is_continue());
    assert_eq!(runs, [(1, 3)]);
}

/// A run that fills a buffer is handed over with it, and what is left goes on behind it; where most of a
/// buffer is something else, nothing is moved for a short run.
#[test]
fn a_run_comes_with_its_buffer_where_little_else_is_in_it() {
    let record = |number: usize| format!("{{\"a\":{number:04}}}\n");
    let records: String = (0..20).map(record).collect();
    let owned_of = |text: &str, chunk: usize| {
        let mut runs = Vec::new();
        let mut each = |portion: Portion<'_>| {
            if let Portion::Run { line, bytes, .. } = &portion {
                runs.push((*line, bytes.len() / 11, matches!(bytes, Cow::Owned(_))));
            }
            true
        };
        let mut sink =
            Sink { path: Arc::from("log"), read: Rc::default(), total: None, each: &mut each };
        let limits = Limits { chunk, ..LARGE };
        assert!(read_source(Box::new(text.as_bytes()), false, limits, &mut sink).is_continue());
        runs
    };
    assert_eq!(owned_of(&records, 115), [(1, 10, true), (11, 9, true)]);
    let other = format!("{}[\n{}]\n", record(0), " \n".repeat(40));
    assert_eq!(owned_of(&format!("{}{other}", record(0)), 300), [(1, 1, false)]);
    // Behind something else in the same buffer.
    assert_eq!(owned_of(&format!("[]\n{records}"), 400), [(2, 19, false)]);
}
