//! Options and operands of a tool, as `getopt_long` takes them apart: operands may stand between
//! options, long names may be cut short.

use crate::audit::shell::text::{MarkKind, Text};

/// The options a tool knows.
pub(super) struct Spec {
    /// Letters of options without a value.
    pub flags: &'static str,
    /// Letters of options with one.
    pub values: &'static str,
    /// Long names, and the letter each stands for.
    pub long: &'static [(&'static str, char)],
    /// Options are looked for behind the first operand too.
    pub permute: bool,
}

#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    /// In the order given. A flag's value is empty.
    pub given: Vec<(char, Text)>,
    pub operands: Vec<&'a Text>,
    /// An argument may be an option, but nobody knows which.
    pub unclear: bool,
    /// Some option is none that the tool is known to have.
    pub unknown: bool,
}

impl Options<'_> {
    pub fn has(&self, letter: char) -> bool {
        self.given.iter().any(|(given, _)| *given == letter)
    }

    /// The value that was given last.
    pub fn value(&self, letter: char) -> Option<&Text> {
        self.given.iter().rev().find(|(given, _)| *given == letter).map(|(_, value)| value)
    }

    pub fn values(&self, letter: char) -> impl Iterator<Item = &Text> {
        self.given.iter().filter(move |(given, _)| *given == letter).map(|(_, value)| value)
    }

    pub fn number(&self, letter: char) -> Option<usize> {
        self.value(letter)?.as_literal()?.trim().parse().ok()
    }
}

pub(super) fn options<'a>(args: &'a [Text], spec: &Spec) -> Options<'a> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let text = arg.as_str();
        let starts_unknown =
            arg.marks().first().is_some_and(|mark| mark.at == 0 && mark.kind == MarkKind::Hole);
        options.unclear |= starts_unknown;
        if starts_unknown || !text.starts_with('-') || text == "-" {
            options.operands.push(arg);
            if !spec.permute {
                break;
            }
        } else if text == "--" {
            break;
        } else if let Some(name) = text.strip_prefix("--") {
            let (name, value) = match name.find('=') {
                Some(at) => (name.get(..at).unwrap_or_default(), Some(at + 3)),
                None => (name, None),
            };
            let exact = spec.long.iter().find(|(long, _)| *long == name);
            let found = exact.or_else(|| spec.long.iter().find(|(long, _)| long.starts_with(name)));
            let Some((_, letter)) = found else {
                options.unknown = true;
                continue;
            };
            let value = match value {
                Some(from) => arg.slice(from, arg.len()),
                None if spec.values.contains(*letter) => args.next().cloned().unwrap_or_default(),
                None => Text::new(),
            };
            options.given.push((*letter, value));
        } else {
            for (at, letter) in text.char_indices().skip(1) {
                let rest = at + letter.len_utf8();
                if spec.values.contains(letter) {
                    let value = if rest < text.len() || arg.marks().iter().any(|m| m.at >= rest) {
                        arg.slice(rest, arg.len())
                    } else {
                        args.next().cloned().unwrap_or_default()
                    };
                    options.given.push((letter, value));
                    break;
                }
                options.unknown |= !spec.flags.contains(letter);
                options.given.push((letter, Text::new()));
            }
            options.unclear |= arg.has_hole() && !spec.values.chars().any(|l| text.contains(l));
        }
    }
    options.operands.extend(args);
    options
}
