use super::super::report::tests::example;
use super::*;

#[test]
fn document_reads_well() {
    insta::assert_snapshot!("junit", document(&example()));
}

#[test]
fn totals_are_those_of_what_is_below() {
    for strict in [false, true] {
        let report = Report { strict, ..example() };
        let document = document(&report);
        let count = |element: &str| document.matches(element).count();
        let total = |name: &str, number: usize| {
            let line = document.lines().find(|line| line.starts_with("<testsuites")).unwrap();
            assert!(line.contains(&format!(" {name}=\"{number}\"")), "{name}: {line}");
        };
        total("tests", count("<testcase "));
        total("failures", count("<failure "));
        total("errors", count("<error "));
        total("skipped", count("<skipped "));
        assert_eq!(count("<skipped "), 2 * usize::from(!strict));
    }
}

proptest::proptest! {
    #[test]
    fn only_characters_of_xml_are_written(text in proptest::prelude::any::<String>()) {
        let mut report = example();
        report.cases[1].name = text;
        // Source: the production `Char` of XML 1.0.
        let known = |c: char| {
            matches!(c, '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        };
        proptest::prop_assert!(document(&report).chars().all(known));
    }
}
