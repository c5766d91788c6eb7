//! Endings of file names, such as `.pem`, and which patterns say that they look for them.

use crate::audit::shell::pattern::Pattern;
use crate::audit::shell::text::Text;

/// Characters that stand for whatever a pattern did not have in mind. One that takes all of them
/// for a letter of the ending does not tell that ending from others.
const OTHER_LETTERS: [char; 4] = ['q', 'Z', '0', '\u{e000}'];
/// A character that no pattern spells.
const UNHEARD: char = '\u{e000}';

/// An entry `**/*.pem`.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) entry: usize,
    letters: String,
    /// The ending after any name; after a name without dots.
    wanted: [Pattern; 2],
    /// Other endings of the same length, after the same.
    others: [Vec<Pattern>; 2],
    /// The letters after something that is no dot, and after a name that nobody asked for.
    undotted: Pattern,
    unheard: Pattern,
}

impl Ending {
    /// From the last component of the entry. `None` when it is something else.
    pub(super) fn new(entry: usize, written: &str) -> Option<Ending> {
        let letters = written.strip_prefix("*.")?;
        if letters.is_empty() || !letters.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let after = |stem: &Text, rest: &str| {
            let mut text = stem.clone();
            text.push_str(rest);
            Pattern::new(&text).with_dots()
        };
        let stems = [any(), dotless()];
        let others = stems.each_ref().map(|stem| {
            let other = |letter: &char| {
                let rest: String = letters.chars().map(|_| *letter).collect();
                after(stem, &format!(".{rest}"))
            };
            OTHER_LETTERS.iter().map(other).collect()
        });
        let mut unheard = Text::of_char(UNHEARD);
        unheard.append(&dotless());
        Some(Ending {
            entry,
            letters: letters.to_owned(),
            wanted: stems.each_ref().map(|stem| after(stem, &format!(".{letters}"))),
            others,
            undotted: after(&dotless(), &format!("{UNHEARD}{letters}")),
            unheard: after(&unheard, &format!("{UNHEARD}{letters}")),
        })
    }

    /// Without the dot.
    pub(super) fn letters(&self) -> &str {
        &self.letters
    }
}

/// A pattern for file names, asked for which endings it was written.
pub(super) struct Asking<'n> {
    name: &'n Pattern,
    /// See [`Pattern::begun_ending`].
    begun: Option<String>,
    /// By the number of letters: whether other endings match as well.
    others: Vec<(usize, [bool; 2])>,
}

impl<'n> Asking<'n> {
    pub(super) fn new(name: &'n Pattern) -> Asking<'n> {
        Asking { name, begun: name.begun_ending(), others: Vec::new() }
    }

    /// Whether it asks for this ending rather than for any: the dot and at least one letter are
    /// spelled. Where the name before it is, the dot may be a wildcard.
    pub(super) fn asks_for(&mut self, ending: &Ending) -> bool {
        let begun = self.begun.as_ref();
        if self.name.is_wild()
            || begun.is_some_and(|begun| begun.is_empty() || !ending.letters.starts_with(&**begun))
        {
            return false;
        }
        let last = self.name.last_character();
        if last.is_some_and(|last| !ending.letters.ends_with(last)) {
            return false;
        }
        let matched = ending.wanted.each_ref().map(|wanted| self.name.intersects(wanted));
        if !matched.contains(&true) {
            return false;
        }
        let open = self.others(ending);
        let told = matched.into_iter().zip(open).any(|(matched, open)| matched && !open);
        let stem = || !self.name.intersects(&ending.unheard);
        told && (!self.name.intersects(&ending.undotted) || stem())
    }

    /// Endings of the same length share the others they are compared with.
    fn others(&mut self, ending: &Ending) -> [bool; 2] {
        let length = ending.letters.len();
        if let Some((_, open)) = self.others.iter().find(|(known, _)| *known == length) {
            return *open;
        }
        let matches = |others: &Vec<Pattern>| others.iter().any(|it| self.name.intersects(it));
        let open = ending.others.each_ref().map(matches);
        self.others.push((length, open));
        open
    }
}

/// `*`
fn any() -> Text {
    let mut text = Text::new();
    text.push_active('*');
    text
}

/// `*([!.])`
fn dotless() -> Text {
    let mut text = Text::new();
    for character in ['*', '(', '[', '!'] {
        text.push_active(character);
    }
    text.push('.');
    text.push_active(']');
    text.push_active(')');
    text
}
