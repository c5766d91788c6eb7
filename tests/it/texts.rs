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

#[test]
fn the_readme_shows_what_explain_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let command = "cd /etc; cat $(echo c2hhZG93 | base64 -d)";
    let output = program(&["explain", "--command", command]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let block = format!("```text\n$ kubetell explain --command '{command}'\n{printed}```\n");
    assert!(readme.contains(&block), "the README should show:\n{block}");
}
