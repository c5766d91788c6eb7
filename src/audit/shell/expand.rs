//! Words to texts: what a shell makes of a word before it runs a command.
//!
//! Owns the order of expansions and what each of them yields, over a [`Shell`] that holds the
//! variables and runs substitutions. Must not run anything itself, and knows neither commands nor
//! files: globs stay patterns in the texts.
//!
//! ```text
//! word ─> braces ─> walk ─> parameter ─> operators
//!                    │   └> arithmetic
//!                    └> split ─> fields
//! ```
//!
//! Every step of work and every byte is taken from the shell's budget. What is cut short ends in
//! a hole, and exhausts the budget: a bound never hides anything. Nesting is bounded by the parser.

mod arithmetic;
mod braces;
mod escapes;
mod operators;
mod parameter;
mod split;
mod walk;

use compact_str::CompactString;

use super::ast::{Part, Script, Word};
use super::text::{Step, Steps, Text};
use walk::{Context, Walk};

/// Most bytes that expansions may add to one text. What is written counts only where it is read,
/// as it is bounded by the command itself.
const EXPANDED_MAX_BYTES: usize = 64 * 1024;
/// What a field costs beside its characters.
const FIELD_WORK: usize = 4;

/// What words are expanded in.
///
/// Names may carry a subscript: `set_variable("a[2]", …)` is what `$((a[2] = 1))` does. `None` is a
/// correct answer to everything.
pub trait Shell {
    /// The value of a variable; `None` when it is unset. A value may hold holes (environment that
    /// is unknown). Also asked for `?`, `$`, `!`, `-`, `_`, which have defaults.
    fn variable(&self, name: &str) -> Option<Text>;
    /// The elements, in order, when `name` is an array; a plain variable is an array of one.
    fn array(&self, name: &str) -> Option<Vec<Text>>;
    /// The keys of the elements, in their order, where they are not 0, 1, 2 and so on.
    fn keys(&self, _name: &str) -> Option<Vec<CompactString>> {
        None
    }
    /// `None` when `name` is no associative array; `Some(None)` when that has no such key.
    fn named(&mut self, _name: &str, _key: &str) -> Option<Option<Text>> {
        None
    }
    /// An element of an array whose keys are not 0, 1, 2 and so on; negative indices count from
    /// behind the last. `None` when `name` is no such array.
    fn element(&mut self, _name: &str, _index: i64) -> Option<Option<Text>> {
        None
    }
    fn set_variable(&mut self, name: &str, value: Text);
    fn variable_names(&self, prefix: &str) -> Vec<String>;
    /// `$0` first, then `$1` …
    fn positional(&self) -> &[Text];
    /// A pattern that stood before the positional parameters and may be some of them.
    fn dropped_pattern(&self) -> Option<&Text> {
        None
    }
    /// One of several texts of which any may be meant.
    fn choose(&self, of: &[Text]) -> Option<Text> {
        of.first().cloned()
    }
    /// Home directory of a user; of the current one for `""`.
    fn home(&self, user: &str) -> Text;
    fn working_directory(&self) -> Text;
    /// What `$(…)` prints, its trailing newlines removed.
    fn substitute(&mut self, script: &Script) -> Text;
    /// A path that stands for `<(…)` (`input`) or `>(…)`.
    fn process(&mut self, script: &Script, input: bool) -> Text;
    /// Takes `work` units from the budget; false when it is used up. The expansion then gives what
    /// it has.
    fn spend(&mut self, work: usize) -> bool;
}

/// Full expansion with braces, tilde, parameters and splitting: none, one or many texts, which
/// are put behind those in `out`.
pub fn fields(word: &Word, shell: &mut dyn Shell, out: &mut Vec<Text>) {
    if let Some(text) = plainly(word) {
        shell.spend(text.len() + FIELD_WORK);
        out.push(text);
        return;
    }
    if !word.parts.iter().any(braces::may_expand) {
        let mut walk = Walk::new(shell, true, true);
        walk.parts(&word.parts, Context::Word);
        walk.finish_into(out);
        return;
    }
    let expanded = braces::expand(word, shell);
    for pieces in &expanded.words {
        let mut walk = Walk::new(shell, true, true);
        if expanded.changed {
            walk.add_step(Step::Braces);
        }
        walk.pieces(pieces, Context::Word);
        walk.finish_into(out);
    }
    if expanded.incomplete {
        exhaust(shell);
    }
}

/// What most words are: characters that stand for themselves, and nothing else.
pub fn plainly(word: &Word) -> Option<Text> {
    let [part] = word.parts.as_slice() else { return None };
    let (text, step) = match part {
        Part::Literal(text) if text.bytes().all(is_inert) => (text, None),
        Part::Quoted { text, step } => (text, Some(*step)),
        Part::Double(parts) => match parts.as_slice() {
            [Part::Quoted { text, step: Step::Quotes }] => (text, Some(Step::Quotes)),
            _ => return None,
        },
        _ => return None,
    };
    let mut plain = Text::literal(text.clone());
    plain.steps = step.map_or(Steps::NONE, Steps::of);
    Some(plain)
}

/// Whether no expansion begins with the character, which stands outside quotes.
pub fn is_inert(byte: u8) -> bool {
    !matches!(byte, b'~' | b'{' | b'*' | b'?' | b'[')
}

/// Without splitting and braces: assignments, redirection targets, here-documents, `case` subjects
/// and patterns. Unquoted pattern characters are active in the result.
pub fn single(word: &Word, shell: &mut dyn Shell) -> Text {
    if let Some(text) = plainly(word) {
        shell.spend(text.len() + FIELD_WORK);
        return text;
    }
    let mut walk = Walk::new(shell, false, true);
    walk.parts(&word.parts, Context::Word);
    walk.finish_one()
}

/// A text with expansions, as within double quotes.
pub fn document(parts: &[Part], shell: &mut dyn Shell) -> Text {
    let mut walk = Walk::new(shell, false, false);
    walk.parts(parts, Context::Quoted);
    walk.finish_one()
}

/// Integer arithmetic as in bash; `None` when unknown or invalid.
pub fn arithmetic(word: &Word, shell: &mut dyn Shell) -> Option<i64> {
    let text = document(&word.parts, shell);
    evaluate(text.as_literal()?, shell)
}

/// The same of a text that has no expansions left.
pub fn evaluate(text: &str, shell: &mut dyn Shell) -> Option<i64> {
    arithmetic::evaluate(text, shell)
}

/// Like [`single`], with nothing active but what values bring along.
fn plain(word: &Word, shell: &mut dyn Shell) -> Text {
    let mut walk = Walk::new(shell, false, false);
    walk.parts(&word.parts, Context::Word);
    walk.finish_one()
}

/// The replacement of `${a/x/y}`, cut at each `&` that is not quoted: there stands what matched,
/// since bash 5.2.
fn replacement(word: &Word, shell: &mut dyn Shell) -> Vec<Text> {
    let mut out = Vec::new();
    let mut walk = Walk::new(shell, false, false);
    let count = word.parts.len();
    for (at, part) in word.parts.iter().enumerate() {
        let Part::Literal(text) = part else {
            walk.parts(std::slice::from_ref(part), Context::Word);
            continue;
        };
        for (cut, text) in text.split('&').enumerate() {
            if cut > 0 {
                out.push(walk.take());
            }
            walk.literal(text, Context::Word, at == 0 && cut == 0, at + 1 == count);
        }
    }
    out.push(walk.finish_one());
    out
}

/// Takes all that is left of the budget.
fn exhaust(shell: &mut dyn Shell) {
    shell.spend(usize::MAX / 4);
}

#[cfg(test)]
#[path = "expand_tests.rs"]
mod tests;
