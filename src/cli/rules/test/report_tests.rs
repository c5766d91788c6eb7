use super::*;

/// One case of each kind, with a hostile name and a hostile value.
pub fn example() -> Report {
    let ran = |name: &str, mismatches: Vec<Difference>| Ran {
        rule: "a-rule".to_owned(),
        name: name.to_owned(),
        file: "rules/a.toml".to_owned(),
        line: 12,
        passed: mismatches.is_empty(),
        seconds: 0.25,
        mismatches,
    };
    let number = Mismatch::Alerts {
        expected: "no alert".to_owned(),
        actual: 2,
        messages: vec!["User \"x\" did it".to_owned(), "And\u{1b}[2J again".to_owned()],
    };
    let field = Mismatch::Field {
        alert: 1,
        field: "user.name".to_owned(),
        expected: "\"jane\"".to_owned(),
        actual: "\"</failure>]]>\u{0}\u{202e}\u{ffff}\"".to_owned(),
    };
    let unreadable = Mismatch::Unreadable("a.json:3: not read: it is no JSON".to_owned());
    Report {
        cases: vec![
            ran("passes", Vec::new()),
            ran("<\u{1b}]0;x\u{7}&\">\nsecond line", vec![number.into(), field.into()]),
            ran("cannot be read", vec![unreadable.into()]),
        ],
        without_cases: vec!["b-rule".to_owned()],
        invalid: vec![
            (PathBuf::from("rules/c.toml"), "`rules/c.toml`: bad\n  |\n1 | <x\u{7}>".to_owned())
                .into(),
        ],
        skipped: vec![Skipped {
            rule: "rules/d.toml".to_owned(),
            name: "of a rule\u{1b}[2J left out".to_owned(),
            file: "rules/d.tests.toml".to_owned(),
            line: 3,
            reason: "its rule is left out: `rules/d.toml`: <no> queries of that kind".to_owned(),
        }],
        filtered_out: 4,
        strict: false,
        seconds: 0.5,
    }
}

#[test]
fn text_reads_well() {
    let text = example().text();
    insta::assert_snapshot!("text", anstream::adapter::strip_str(&text).to_string());
    assert!(text.contains("\u{1b}[32mok"), "colours are for whoever writes to strip");
}

#[test]
fn what_counts_as_failed() {
    let none = || Report::new(false);
    assert!(!none().has_failed());
    assert!(example().has_failed());
    let without = |strict| Report { without_cases: vec!["b".to_owned()], ..Report::new(strict) };
    assert!(!without(false).has_failed());
    assert!(without(true).has_failed());
    assert!(without(true).text().contains("FAILED"));
    let mut skipped = Report { skipped: example().skipped, ..Report::new(false) };
    assert!(!skipped.has_failed());
    skipped.strict = true;
    assert!(skipped.has_failed());
    assert!(none().text().starts_with("test result: "));
}
