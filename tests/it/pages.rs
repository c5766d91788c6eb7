//! Pages as a reader uses them: what stands between fences is what it says it is, kubetell takes
//! what is meant for it, links lead somewhere, and what names fields of an alert names real ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::kafka::DEADLINE;
use crate::kafka::process::{Process, kubetell};
use crate::markdown::{self, Block, Page};
use crate::rsyslog;

/// The pages on pipelines.
fn pipelines() -> Vec<Page> {
    let mut pages = markdown::all();
    pages.retain(|page| {
        page.path.starts_with("docs/upstream/") || page.path.starts_with("docs/downstream/")
    });
    assert!(pages.len() >= 17, "{}", pages.len());
    pages
}

fn yaml(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// The blocks of a language, with their places.
fn blocks<'a>(pages: &'a [Page], language: &str) -> Vec<(String, &'a Block)> {
    let all = pages.iter().flat_map(|page| page.blocks.iter().map(move |block| (page, block)));
    let of = all.filter(|(_, block)| block.language == language);
    of.map(|(page, block)| (format!("{}:{}", page.path, block.line), block)).collect()
}

#[test]
fn every_block_is_what_it_says_it_is() {
    let pages = pipelines();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for page in &pages {
        for block in &page.blocks {
            let place = format!("{}:{}", page.path, block.line);
            if let Err(error) = parse(block) {
                panic!("{place}: this is no `{}`: {error}\n{}", block.language, block.text);
            }
            *seen.entry(&block.language).or_default() += 1;
        }
    }
    for language in ["json", "yaml", "toml", "conf", "properties", "ini", "python", "sh"] {
        assert!(seen.contains_key(language), "no page has a block of `{language}`");
    }
}

fn parse(block: &Block) -> Result<(), String> {
    let text = block.text.as_str();
    match block.language.as_str() {
        "json" => serde_json::from_str::<Value>(text).map(drop).map_err(|error| error.to_string()),
        "yaml" => yaml(text).map(drop),
        "toml" => toml::from_str::<toml::Table>(text).map(drop).map_err(|error| error.to_string()),
        "properties" => lines_of(text, &['#'], |line| line.contains('=')),
        "ini" => lines_of(text, &['#'], |line| {
            line.contains('=') || line.starts_with('[') && line.ends_with(']')
        }),
        "conf" => {
            // rsyslog looks into the folder that it is to work in.
            let folder = tempfile::tempdir().unwrap();
            let text = in_one_folder(text, folder.path().to_str().unwrap());
            let finished = rsyslog::check(folder.path(), &text);
            let clean = finished.code() == Some(0) && !finished.stderr.contains("error");
            if clean { Ok(()) } else { Err(finished.stderr) }
        }
        "sh" => told_by(Command::new("bash").args(["-n", "-c", text])),
        // There is no interpreter at hand everywhere; its brackets have to close all the same.
        "python" => balanced(text),
        "text" => Ok(()),
        _ => Err("nobody checks this language".to_owned()),
    }
}

/// The folders of an rsyslog configuration, all in one that exists.
fn in_one_folder(text: &str, folder: &str) -> String {
    ["/var/spool/rsyslog-alerts", "/var/spool/rsyslog-audit", "/var/log/kubernetes/audit"]
        .iter()
        .fold(text.to_owned(), |text, printed| text.replace(printed, folder))
}

fn lines_of(text: &str, comments: &[char], good: impl Fn(&str) -> bool) -> Result<(), String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut content = lines.filter(|line| !line.starts_with(comments));
    content.find(|line| !good(line)).map_or(Ok(()), |line| Err(format!("`{line}`")))
}

fn told_by(command: &mut Command) -> Result<(), String> {
    let output = command.output().unwrap();
    let told = || String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(told()) }
}

fn balanced(text: &str) -> Result<(), String> {
    let mut open = Vec::new();
    for sign in text.chars() {
        match sign {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(sign) => return Err(format!("`{sign}`")),
            _ => {}
        }
    }
    if open.is_empty() { Ok(()) } else { Err("a bracket is open at the end".to_owned()) }
}

#[test]
fn a_block_that_is_wrong_is_seen() {
    for (language, text) in [
        ("json", "{\"a\": 1,}"),
        ("yaml", "a: [1\nb: 2\n"),
        ("toml", "a = \n"),
        ("conf", "module(load=\"imkafka\")\ninput(type=\"imkafka\" nonsense=\"1\")\n"),
        ("properties", "a b\n"),
        ("ini", "[a\n"),
        ("sh", "if true; then"),
        ("python", "f(]"),
        ("cobol", "anything"),
    ] {
        let block = Block { language: language.to_owned(), text: text.to_owned(), line: 1 };
        assert!(parse(&block).is_err(), "`{text}` passed as {language}");
    }
}

#[test]
fn kubetell_takes_the_configurations_that_are_meant_for_it() {
    let pages = pipelines();
    let blocks = blocks(&pages, "toml");
    assert!(blocks.len() >= 3, "{}", blocks.len());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubetell.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let arguments = ["config", "check", "--offline", "--config", file.to_str().unwrap()];
        Process::spawn(kubetell(&arguments)).wait(DEADLINE)
    };
    for (place, block) in blocks {
        let finished = check(&block.text);
        assert_eq!(finished.code(), Some(0), "{place}\n{}", finished.stderr);
    }
    assert_eq!(check("[source]\ntopic = \"a\"\n").code(), Some(78), "a wrong key is seen");
}

#[test]
fn links_lead_somewhere() {
    let pages = markdown::all();
    let by_path: BTreeMap<&str, &Page> =
        pages.iter().map(|page| (page.path.as_str(), page)).collect();
    let mut followed = 0;
    let mut broken = Vec::new();
    for page in &pages {
        for (line, link) in &page.links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = resolved(&page.path, path);
            let exists = markdown::root().join(&target).exists();
            let has_anchor = || {
                let page = by_path.get(target.as_str());
                page.is_some_and(|page| page.anchors.contains(anchor))
            };
            if !exists || !anchor.is_empty() && !has_anchor() {
                broken.push(format!("{}:{line}: {link}", page.path));
            }
        }
    }
    assert!(followed > 100, "{followed}");
    assert!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
}

/// A link's path, from the root of the repository.
fn resolved(page: &str, path: &str) -> String {
    if path.is_empty() {
        return page.to_owned();
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => assert!(parts.pop().is_some(), "{page}: {path} leaves the repository"),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_page_on_pipelines_is_in_its_overview_and_says_what_was_run() {
    for page in pipelines() {
        let (folder, name) = page.path.rsplit_once('/').unwrap();
        assert!(page.anchors.contains("what-was-run"), "{}", page.path);
        if name != "README.md" {
            let overview = Page::read(&format!("{folder}/README.md"));
            assert!(overview.links.iter().any(|(_, link)| link == name), "{}", page.path);
            assert!(page.anchors.contains("check-it"), "{}", page.path);
        }
    }
}

#[test]
fn the_audit_policy_is_one_and_catches_what_the_rules_need() {
    let page = Page::read("docs/upstream/README.md");
    let policy = yaml(page.block("yaml", "kind: Policy")).unwrap();
    assert_eq!(policy["apiVersion"], "audit.k8s.io/v1");
    for stage in policy["omitStages"].as_array().unwrap() {
        assert_eq!(stage, "RequestReceived", "the others are needed");
    }
    let level_of = |resource: &str| {
        let rules = policy["rules"].as_array().unwrap();
        let mut matching = rules.iter().filter(|rule| {
            let Some(resources) = rule["resources"].as_array() else { return true };
            let mut names = resources.iter().flat_map(|it| it["resources"].as_array().unwrap());
            names.any(|name| name == resource)
        });
        matching.next().map(|rule| rule["level"].clone())
    };
    for resource in ["pods/exec", "nodes/proxy", "secrets"] {
        assert_eq!(level_of(resource), Some("Metadata".into()), "{resource}");
    }
    assert_eq!(level_of("pods"), Some("Metadata".into()), "the rule at the end");
}

#[test]
fn parts_of_a_vector_pipeline_name_each_other() {
    let pages = pipelines();
    let mut pipelines = 0;
    for (place, block) in blocks(&pages, "yaml") {
        let Ok(document) = yaml(&block.text) else { continue };
        let Some(sinks) = document["sinks"].as_object() else { continue };
        let sources = document["sources"].as_object().unwrap();
        for (name, sink) in sinks {
            for input in sink["inputs"].as_array().unwrap() {
                let input = input.as_str().unwrap();
                assert!(sources.contains_key(input), "{place}: {name} reads {input}");
            }
            assert!(sink["type"].is_string() && sink["encoding"]["codec"] == "text", "{place}");
            pipelines += 1;
        }
        for (name, source) in sources {
            assert!(source["type"].is_string(), "{place}: {name}");
        }
    }
    assert!(pipelines >= 5, "{pipelines}");
}

#[test]
fn connectors_have_a_class_a_topic_and_converters() {
    let pages = pipelines();
    let mut connectors = 0;
    for (place, block) in blocks(&pages, "json") {
        let document: Value = serde_json::from_str(&block.text).unwrap();
        let Some(config) = document["config"].as_object() else { continue };
        connectors += 1;
        assert!(document["name"].is_string(), "{place}");
        for key in ["connector.class", "tasks.max", "key.converter", "value.converter"] {
            assert!(config.contains_key(key), "{place} lacks {key}");
        }
        assert!(config.contains_key("topics") || config.contains_key("kafka.topic"), "{place}");
        for (key, value) in config {
            assert!(value.is_string(), "{place}: {key} must be a text, as Connect has them");
            let secret = key.contains("password") || key.contains("token");
            assert!(!secret || value.as_str().unwrap().starts_with("${file:"), "{place}: {key}");
        }
    }
    assert!(connectors >= 4, "{connectors}");
}

/// The fields at the top of an alert.
fn top_fields() -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(kubetell::alert::schema::ecs()).unwrap();
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn columns_and_schemas_of_other_products_have_the_fields_of_an_alert() {
    let names = |list: &Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    let panther = Page::read("docs/downstream/panther.md");
    let schema = yaml(panther.block("yaml", "schema: Custom.Kubetell.Alert")).unwrap();
    assert_eq!(names(&schema["fields"]), top_fields());

    let sentinel = Page::read("docs/downstream/sentinel.md");
    let rule: Value = serde_json::from_str(sentinel.block("json", "streamDeclarations")).unwrap();
    let columns = &rule["properties"]["streamDeclarations"]["Custom-KubetellAlerts_CL"]["columns"];
    let mut expected = top_fields();
    // A column can't be called so.
    assert!(expected.remove("@timestamp") && expected.insert("timestamp".to_owned()));
    assert_eq!(names(columns), expected);

    // Of the table for the parser: what stands in the second column.
    let secops =
        std::fs::read_to_string(markdown::root().join("docs/downstream/secops.md")).unwrap();
    let rows = secops.lines().filter(|line| line.starts_with("| `"));
    let mut fields = 0;
    for row in rows {
        let source = row.split('|').nth(2).unwrap();
        for name in source.split('`').skip(1).step_by(2) {
            if name.contains('.') || name.starts_with('@') {
                fields += 1;
                assert_eq!(kubetell::alert::schema::check_field(name), Ok(()), "{name}");
            }
        }
    }
    assert!(fields >= 10, "{fields}");
}
