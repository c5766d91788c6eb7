//! Pages as tests read them: their fenced blocks, headings and links.
//!
//! Knows as much Markdown as the pages of this project use: fences of three backquotes, headings
//! with `#`, links of the form `[text](target)`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What stands between two fences.
#[derive(Debug, Clone)]
pub struct Block {
    /// The word behind the opening fence; empty where there is none.
    pub language: String,
    pub text: String,
    /// Of the opening fence, from 1.
    pub line: usize,
}

#[derive(Debug)]
pub struct Page {
    /// From the root of the repository.
    pub path: String,
    pub blocks: Vec<Block>,
    /// What a link to a heading of this page can have behind its `#`.
    pub anchors: BTreeSet<String>,
    /// Targets, with their lines from 1.
    pub links: Vec<(usize, String)>,
}

pub fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

impl Page {
    /// Reads a page by its path from the root of the repository.
    pub fn read(path: &str) -> Page {
        let text = std::fs::read_to_string(root().join(path))
            .unwrap_or_else(|error| panic!("`{path}` can't be read: {error}"));
        Page::parse(path, &text)
    }

    pub fn parse(path: &str, text: &str) -> Page {
        let mut page = Page {
            path: path.to_owned(),
            blocks: Vec::new(),
            anchors: BTreeSet::new(),
            links: Vec::new(),
        };
        let mut headings: BTreeMap<String, usize> = BTreeMap::new();
        let mut open: Option<Block> = None;
        for (number, line) in (1..).zip(text.lines()) {
            match (line.trim_start().strip_prefix("```"), open.as_mut()) {
                (Some(language), None) => {
                    let language = language.trim().to_owned();
                    open = Some(Block { language, text: String::new(), line: number });
                }
                (Some(_), Some(_)) => page.blocks.extend(open.take()),
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {
                    page.links.extend(links(line).map(|target| (number, target.to_owned())));
                    let heading = line.trim_start_matches('#');
                    if heading.len() < line.len() && heading.starts_with(' ') {
                        let slug = slug(heading);
                        let seen = headings.entry(slug.clone()).or_insert(0);
                        // The second heading of a name is told apart by a number.
                        page.anchors.insert(match *seen {
                            0 => slug,
                            again => format!("{slug}-{again}"),
                        });
                        *seen += 1;
                    }
                }
            }
        }
        assert!(open.is_none(), "{path}: a fence is not closed");
        page
    }

    /// The only block of this language that holds `part`.
    pub fn block(&self, language: &str, part: &str) -> &str {
        let mut blocks = (self.blocks.iter())
            .filter(|block| block.language == language && block.text.contains(part));
        let block = blocks.next().unwrap_or_else(|| {
            panic!("{}: no block of `{language}` with `{part}`", self.path);
        });
        assert!(blocks.next().is_none(), "{}: several blocks with `{part}`", self.path);
        &block.text
    }
}

/// A block as it is printed, with what must differ in a test replaced. Each of `places` has to
/// occur, so that the page and the test can't part.
pub fn placed(block: &str, places: &[(&str, &str)]) -> String {
    places.iter().fold(block.to_owned(), |text, (printed, here)| {
        assert!(text.contains(printed), "`{printed}` is not in the block any more:\n{text}");
        text.replace(printed, here)
    })
}

/// Every page of the repository that a reader can come to.
pub fn all() -> Vec<Page> {
    let mut paths = Vec::new();
    collect(&root(), "", &mut paths);
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

fn collect(folder: &Path, prefix: &str, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                collect(&entry.path(), &format!("{path}/"), out);
            }
        } else if name.ends_with(".md") {
            out.push(path);
        }
    }
}

/// As code hosts make an anchor of a heading.
fn slug(heading: &str) -> String {
    let heading = heading.trim().to_lowercase();
    let kept = heading.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
    kept.map(|it| if it == ' ' { '-' } else { it }).collect()
}

/// The targets of the links of a line, those in code left out.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find(['`', ']'])?;
            let (sign, behind) = rest[at..].split_at(1);
            if sign == "`" {
                // Code ends at the next backquote, or is none.
                rest = behind.split_once('`').map_or(behind, |(_, behind)| behind);
                continue;
            }
            rest = behind;
            if let Some((target, behind)) =
                behind.strip_prefix('(').and_then(|it| it.split_once(')'))
            {
                rest = behind;
                return Some(target);
            }
        }
    })
}

#[test]
fn blocks_headings_and_links_are_found() {
    let page = Page::parse(
        "a.md",
        "# One `kubetell run`, two\n\
         [a](b.md#c) and `[x](y)` and ![d](e.svg), [f](g)\n\
         ```json\n\
         # no [heading](h)\n\
         ```\n\
         ## Again\n\
         ## Again\n\
         ###No heading\n",
    );
    assert_eq!(
        page.anchors.iter().collect::<Vec<_>>(),
        ["again", "again-1", "one-kubetell-run-two"]
    );
    let targets: Vec<&str> = page.links.iter().map(|(_, target)| target.as_str()).collect();
    assert_eq!(targets, ["b.md#c", "e.svg", "g"]);
    assert_eq!(page.blocks.len(), 1);
    assert_eq!(page.block("json", "heading"), "# no [heading](h)\n");
    assert_eq!(page.blocks[0].line, 3);
    assert_eq!(placed("a=1 b=2", &[("1", "3"), ("b", "c")]), "a=3 c=2");
}
