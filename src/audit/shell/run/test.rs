//! `test`, `[` and `[[`: what can be decided without a file system.

use super::super::pattern::Pattern;
use super::super::reading::Reach;
use super::super::text::{Step, Text};
use super::Interpreter;

impl Interpreter<'_> {
    /// `[[ … ]]`; `None` when it cannot be decided. Notes the files it asks for.
    pub(super) fn conditional(&mut self, words: &[Text]) -> Option<bool> {
        for pair in words.windows(2) {
            if let [operator, operand] = pair
                && is_file_operator(operator.as_str())
            {
                self.note_path(operand, Reach::Listed, None);
            }
        }
        decide(words, true)
    }

    /// `test …` or `[ … ]`, without the brackets.
    pub(super) fn test(&mut self, words: &[Text]) -> Option<bool> {
        for pair in words.windows(2) {
            if let [operator, operand] = pair
                && is_file_operator(operator.as_str())
            {
                self.note_path(operand, Reach::Listed, None);
            }
        }
        decide(words, false)
    }
}

fn is_file_operator(word: &str) -> bool {
    let letter = word.strip_prefix('-').filter(|letters| letters.len() == 1);
    letter.is_some_and(|letter| "abcdefghkprstuwxGLNOS".contains(letter))
}

/// Expressions of up to three words, and their negations. Longer ones are left undecided.
fn decide(words: &[Text], patterns: bool) -> Option<bool> {
    // A variable that the command does not set may be one of the container's.
    if words.iter().any(|word| word.steps.has(Step::UnsetVariable)) {
        return None;
    }
    match words {
        [] => Some(false),
        [not, rest @ ..] if not.as_str() == "!" && !rest.is_empty() => {
            decide(rest, patterns).map(|holds| !holds)
        }
        [one] => Some(!one.as_literal()?.is_empty()),
        [operator, operand] => {
            let known = operand.as_literal();
            match operator.as_str() {
                "-n" => Some(!known?.is_empty()),
                "-z" => Some(known?.is_empty()),
                _ => None,
            }
        }
        [left, operator, right] => {
            let left = left.as_literal()?;
            let number = |text: &str| text.trim().parse::<i64>().ok();
            match operator.as_str() {
                "=" | "==" | "!=" => {
                    let equal = if patterns && !right.has_hole() {
                        Pattern::new(right).matches_string(left)
                    } else {
                        left == right.as_literal()?
                    };
                    Some(equal == (operator.as_str() != "!="))
                }
                operator => {
                    let (left, right) = (number(left)?, number(right.as_literal()?)?);
                    match operator {
                        "-eq" => Some(left == right),
                        "-ne" => Some(left != right),
                        "-lt" => Some(left < right),
                        "-le" => Some(left <= right),
                        "-gt" => Some(left > right),
                        "-ge" => Some(left >= right),
                        _ => None,
                    }
                }
            }
        }
        _ => None,
    }
}
