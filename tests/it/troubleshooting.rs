//! `docs/troubleshooting.md` against the program: each error that it names can be said, and each
//! error that ends the service, or its start, stands in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

/// What stands in backquotes in the cells of a row, by its column, without the quotes.
fn quoted(cell: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = cell;
    while let Some(begin) = rest.find('`') {
        let after = rest[begin..].trim_start_matches('`');
        let fence = "`".repeat(rest[begin..].len() - after.len());
        let Some(end) = after.find(&fence) else { panic!("no end of a quote: {cell}") };
        found.push(after[..end].trim().to_owned());
        rest = &after[end + fence.len()..];
    }
    found
}

/// The sources as they read: literals in one line, what is put into them as `…`.
// The patterns are ours, so their size needs no bound.
#[allow(clippy::disallowed_methods)]
fn sources() -> String {
    fn collect(folder: &Path, text: &mut String) {
        let mut entries: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            if path.is_dir() {
                collect(&path, text);
            } else if ["rs", "js"].contains(&kind) {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut text = String::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    let text = regex::Regex::new(r"\\\n\s*").unwrap().replace_all(&text, "").into_owned();
    let text = regex::Regex::new(r"\{[^{}\n]*\}").unwrap().replace_all(&text, "…").into_owned();
    text.replace("\\\"", "\"")
}

/// The rows of the tables of a page that begin with such a heading, as their cells.
fn rows<'t>(page: &'t str, heading: &str) -> Vec<Vec<&'t str>> {
    let mut rows = Vec::new();
    let mut within = false;
    for line in page.lines() {
        let Some(line) = line.strip_prefix("| ") else {
            within &= line.starts_with('|');
            continue;
        };
        let cells: Vec<&str> = line.trim_end_matches('|').split(" | ").collect();
        if within {
            rows.push(cells);
        } else {
            within = cells[0] == heading;
        }
    }
    rows
}

fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphabetic()).count()
}

#[test]
fn errors_that_troubleshooting_names_are_those_of_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/troubleshooting.md")).unwrap();
    let sources = sources();
    let mut named = Vec::new();
    for row in rows(&page, "It says") {
        assert_eq!(row.len(), 3, "{row:?}");
        let texts = quoted(row[0]);
        assert!(!texts.is_empty(), "{row:?}");
        named.extend(texts);
    }
    let errors = named.len();
    // Of a symptom, what is a sentence is one that the program says.
    for row in rows(&page, "You see") {
        assert_eq!(row.len(), 3, "{row:?}");
        named.extend(
            row.iter()
                .flat_map(|cell| quoted(cell))
                .filter(|text| text.split(' ').count() > 3 && !text.starts_with("kubetell ")),
        );
    }
    assert!(errors > 30 && named.len() > errors + 3, "{errors} of {}", named.len());
    for text in &named {
        assert!(letters(text) >= 5, "`{text}` would be found anywhere");
        assert!(sources.contains(text.as_str()), "no error of the program: `{text}`");
    }
    // And no error that ends the service, or its start, is without a remedy there.
    let mut missing = Vec::new();
    for file in [
        "src/app/run.rs",
        "src/topics/problem.rs",
        "src/terms/store/open.rs",
        "src/ingest/kafka.rs",
        "src/admin/server.rs",
        "src/config/error.rs",
    ] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for error in text.lines().filter_map(|line| line.trim().strip_prefix("#[error(\"")) {
            let end = error.rfind("\")]").or_else(|| error.rfind("\", ")).unwrap();
            let error = shown(&error[..end]);
            if letters(&error) >= 5 && !named.contains(&error) {
                missing.push(error);
            }
        }
    }
    assert!(missing.is_empty(), "not in docs/troubleshooting.md: {missing:#?}");
}

/// A literal as the page writes it.
// The pattern is ours, so its size needs no bound.
#[allow(clippy::disallowed_methods)]
fn shown(literal: &str) -> String {
    let text = regex::Regex::new(r"\{[^{}]*\}").unwrap().replace_all(literal, "…").into_owned();
    text.replace("\\\"", "\"")
}
