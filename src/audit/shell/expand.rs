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

use super::ast::{Part, Script, Word};
use super::text::{Step, Text};
use walk::{Context, Walk};

/// Most bytes that expansions may add to one text. What is written counts only where it is read,
/// as it is bounded by the command itself.
const EXPANDED_MAX_BYTES: usize = 64 * 1024;

/// What words are expanded in.
///
/// Names may carry a subscript: `set_variable("a[2]", …)` is what `$((a[2] = 1))` does, and
/// `variable("a[key]")` is asked for every subscript before it is taken for a number, so that
/// associative arrays can be kept. `None` is a correct answer.
pub trait Shell {
    /// The value of a variable; `None` when it is unset. A value may hold holes (environment that
    /// is unknown). Also asked for `?`, `$`, `!`, `-`, `_`, which have defaults.
    fn variable(&self, name: &str) -> Option<Text>;
    /// The elements, in order, when `name` is an array; a plain variable is an array of one.
    fn array(&self, name: &str) -> Option<Vec<Text>>;
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

/// Full expansion with braces, tilde, parameters and splitting: none, one or many texts.
pub fn fields(word: &Word, shell: &mut dyn Shell) -> Vec<Text> {
    let expanded = braces::expand(word, shell);
    let mut out = Vec::with_capacity(expanded.words.len());
    for pieces in &expanded.words {
        let mut walk = Walk::new(shell, true, true);
        if expanded.changed {
            walk.add_step(Step::Braces);
        }
        walk.pieces(pieces, Context::Word);
        out.extend(walk.finish());
    }
    if expanded.incomplete {
        exhaust(shell);
    }
    out
}

/// Without splitting and braces: assignments, redirection targets, here-documents, `case` subjects
/// and patterns. Unquoted pattern characters are active in the result.
pub fn single(word: &Word, shell: &mut dyn Shell) -> Text {
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

fn evaluate(text: &str, shell: &mut dyn Shell) -> Option<i64> {
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
