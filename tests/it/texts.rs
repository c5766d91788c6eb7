//! Texts that people and their documents rely on, as a whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::program;

/// The width of a terminal does not reach these tests, so the lines break where they do.
fn check(name: &str, arguments: &[&str]) {
    let output = program(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}");
    insta::assert_snapshot!(name, String::from_utf8(output.stdout).unwrap());
}

/// Every command of the program by its words, itself (none) included, as the parser has them.
fn commands() -> Vec<Vec<String>> {
    fn walk(words: &[String], command: &clap::Command, all: &mut Vec<Vec<String>>) {
        all.push(words.to_vec());
        for sub in command.get_subcommands() {
            let words: Vec<String> =
                words.iter().cloned().chain([sub.get_name().to_owned()]).collect();
            walk(&words, sub, all);
        }
    }
    let mut all = Vec::new();
    walk(&[], &kubetell::cli::command(), &mut all);
    all
}

fn snapshot_of_help(words: &[String]) -> String {
    let mut name = "help".to_owned();
    for word in words {
        name.push('_');
        name.push_str(&word.replace('-', "_"));
    }
    name
}

#[test]
fn help_of_every_command_is_as_it_was_agreed() {
    for words in commands() {
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.push("--help");
        check(&snapshot_of_help(&words), &arguments);
    }
}

#[test]
fn no_help_is_kept_of_a_command_that_is_gone() {
    let known: BTreeSet<String> = commands()
        .iter()
        .map(|words| format!("it__texts__{}.snap", snapshot_of_help(words)))
        .collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots");
    let kept: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("it__texts__help"))
        .collect();
    assert_eq!(kept, known);
}

#[test]
fn every_command_and_nothing_else_is_in_the_list_of_the_documentation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/commands.md")).unwrap();
    let listed: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `kubetell ")?.rsplit_once(" | ")?.0))
        .collect();
    // What only holds others is no command of its own.
    let all = commands();
    let alone = |words: &&Vec<String>| {
        let held = |other: &Vec<String>| other.len() > words.len() && other.starts_with(words);
        !words.is_empty() && !all.iter().any(held)
    };
    let known: Vec<String> = all
        .iter()
        .filter(alone)
        .map(|words| {
            let at = words.iter().fold(kubetell::cli::command(), |command, word| {
                command.find_subcommand(word).unwrap().clone()
            });
            format!("{}` | {}", words.join(" "), at.get_about().unwrap())
        })
        .collect();
    assert_eq!(listed, known, "in docs/commands.md, in the order of `kubetell --help`");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains("(docs/commands.md)"), "the README leads to the list");
}

#[test]
fn rules_are_shown() {
    check("rules_list", &["rules", "list"]);
    check("rules_show_exec", &["rules", "show", "pod-exec-sensitive-path"]);
}

#[test]
fn the_list_is_that_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let own =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rules/own/privileged-pod.toml");
    let config = folder.path().join("kubetell.toml");
    let text = format!("enabled_rules = [\"pod-exec-interactive-shell\"]\nrules = [{own:?}]\n");
    std::fs::write(&config, text).unwrap();
    let output =
        program(&["rules", "list", "--config", config.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let line = |id: &str| printed.lines().find(|line| line.starts_with(id)).unwrap_or_default();
    assert!(line("privileged-pod").contains("query"), "{printed}");
    assert!(line("pod-exec-interactive-shell").contains("exec, enabled"), "{printed}");
}

/// One on a page about the detections once lacked a remark that `explain` had got since.
#[test]
fn pages_show_what_explain_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let start = "```text\n$ kubetell explain --command ";
    for (page, least) in [("README.md", 1), ("docs/detections.md", 4)] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let blocks: Vec<&str> = text.split(start).skip(1).collect();
        assert!(blocks.len() >= least, "{page} shows {}", blocks.len());
        for block in blocks {
            let (command, shown) = block.split_once('\n').unwrap();
            let quote = command.chars().next().unwrap();
            let command = command.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
            let output = program(&["explain", "--command", command.unwrap()]).output().unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            assert_eq!(shown.split("```").next(), Some(printed.as_str()), "{page}");
        }
    }
}

/// The functions that a cell of the table of invariants names, each with the file before it.
fn named_tests(cell: &str) -> Vec<(String, String)> {
    let mut file = String::new();
    let mut named = Vec::new();
    for part in cell.split("; ") {
        // What is said to be an integration test stands in one file, unless it names another.
        if part.starts_with("integration") {
            file = "tests/it/pipeline.rs".to_owned();
        }
        for quoted in part.split('`').skip(1).step_by(2) {
            if quoted.ends_with(".rs") || quoted.ends_with('/') {
                file = quoted.to_owned();
            } else if quoted.contains('_') {
                named.push((file.clone(), quoted.to_owned()));
            }
        }
    }
    named
}

/// Some once named the file that is tested in the place of the one with the test.
#[test]
fn tests_of_the_invariants_stand_where_the_page_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let table = page.split("## Invariants and their tests").nth(1).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let named: Vec<_> =
        rows.flat_map(|row| named_tests(row.split(" | ").nth(1).unwrap_or_default())).collect();
    assert!(named.len() > 80, "{}", named.len());
    for (file, test) in named {
        let paths =
            [root.join("src").join(&file), root.join("tests/it").join(&file), root.join(&file)];
        let path = paths.iter().find(|path| path.exists());
        let path = path.unwrap_or_else(|| panic!("no file {file}, which is to hold `{test}`"));
        let holds =
            |path: &Path| std::fs::read_to_string(path).unwrap().contains(&format!("fn {test}("));
        let found = if path.is_dir() {
            std::fs::read_dir(path).unwrap().any(|entry| {
                let path = entry.unwrap().path();
                path.is_file() && holds(&path)
            })
        } else {
            holds(path)
        };
        assert!(found, "`{test}` is not in {file}");
    }
}
