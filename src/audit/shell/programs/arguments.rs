//! `xargs` and `parallel`: commands whose words come from stdin, a file, or behind `:::`.

use crate::audit::shell::text::Text;

use super::options::{Arg, Scan, is, joined, started_from};
use super::{Inner, MADE_MAX_BYTES, Operand, Separator, Wrapper, WrapperInput, shell_argv};

/// Most combinations of the words behind several `:::` that are made.
const COMBINATIONS_MAX: usize = 64;
/// Most `:::` of one command that are told apart.
const SOURCES_MAX: usize = 8;
/// Most places of one word in which arguments are put.
const REPLACEMENTS_MAX: usize = 64;

pub(super) fn xargs<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let mut replace = None;
    let mut one_each = false;
    let mut from = Separator::Blank;
    let mut file = None;
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            Arg::Short('I' | 'J') => replace = scan.value(),
            _ if is(arg, "i replace") => {
                replace = Some(scan.attached().unwrap_or_else(|| Text::literal("{}")));
            }
            _ if is(arg, "0 null") => from = Separator::Nul,
            _ if is(arg, "d delimiter") => {
                from = scan.value().map_or(from, |value| delimiter(value.as_str()));
            }
            _ if is(arg, "a arg-file") => file = scan.value(),
            _ if is(arg, "n max-args L") => {
                one_each = scan.value().is_some_and(|count| count.as_str() == "1");
            }
            _ if is(arg, "l max-lines") => {
                one_each = scan.attached().is_none_or(|count| count.as_str() == "1");
            }
            _ if is(arg, "e eof") => _ = scan.attached(),
            _ if is(arg, "E P max-procs s max-chars process-slot-var R S") => scan.skip_value(),
            _ => {}
        }
    };
    if replace.is_some() {
        one_each = true;
        if from == Separator::Blank {
            from = Separator::Line;
        }
    }
    outer.operands.extend(file.clone().map(Operand::named));
    outer.input = WrapperInput::Arguments { replace, one_each, from, file };
    if rest.is_empty() { Inner::Owned(vec![Text::literal("echo")]) } else { Inner::Words(rest) }
}

fn delimiter(value: &str) -> Separator {
    match value {
        "\n" | "\\n" | "\\012" | "\\x0a" | "\\x0A" => Separator::Line,
        "\\0" | "\\000" | "\\x00" => Separator::Nul,
        "\\t" => Separator::Character('\t'),
        _ => value.chars().next().map_or(Separator::Nul, Separator::Character),
    }
}

/// GNU parallel. Its command goes through a shell, so one of a single word is a script.
pub(super) fn parallel<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let mut replace = Text::literal("{}");
    let mut from = Separator::Line;
    let mut file = None;
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            Arg::Short('I') => replace = scan.value().unwrap_or(replace),
            Arg::Long("tag") => {}
            _ if is(arg, "0 null") => from = Separator::Nul,
            _ if is(arg, "a arg-file") => file = scan.value(),
            _ if is(
                arg,
                "j jobs P max-procs n max-args N L l d delimiter C colsep S sshlogin \
                 tagstring joblog results timeout retries delay tmpdir halt memfree load",
            ) =>
            {
                scan.skip_value();
            }
            _ => {}
        }
    };
    let divider = |word: &Text| matches!(word.as_literal(), Some(":::" | ":::+" | "::::"));
    let end = rest.iter().position(divider).unwrap_or(rest.len());
    let (template, lists) = rest.split_at(end);
    let mut sources: Vec<&[Text]> = Vec::new();
    for list in lists.split(divider).skip(1).take(SOURCES_MAX) {
        sources.push(list);
    }
    if lists.first().is_some_and(|word| word.as_literal() == Some("::::")) {
        file = file.or_else(|| lists.get(1).cloned());
        sources.clear();
    }
    if sources.is_empty() {
        outer.operands.extend(file.clone().map(Operand::named));
        outer.input =
            WrapperInput::Arguments { replace: Some(replace), one_each: true, from, file };
        return match template {
            [] => Inner::Owned(shell_argv(Text::literal("{}"))),
            [script] if is_script(script) => Inner::Owned(shell_argv(script.clone())),
            _ => {
                let mut argv = template.to_vec();
                if !template.iter().any(|word| word.as_str().contains("{}")) {
                    argv.push(Text::literal("{}"));
                }
                Inner::Owned(argv)
            }
        };
    }
    match template {
        // Each word is a command of its own.
        [] => Inner::Owned(shell_argv(lines(sources.concat().iter()))),
        [script] if is_script(script) => {
            let scripts = filled(script, &sources);
            Inner::Owned(shell_argv(lines(scripts.iter())))
        }
        _ => {
            let mut argv: Vec<Text> = Vec::new();
            let mut placed = false;
            for word in template {
                if word.as_str().contains('{') {
                    placed = true;
                    argv.extend(filled(word, &sources));
                } else {
                    argv.push(word.clone());
                }
            }
            if !placed {
                argv.extend(sources.concat());
            }
            Inner::Owned(argv)
        }
    }
}

fn is_script(word: &Text) -> bool {
    word.as_str().contains(char::is_whitespace)
}

fn lines<'a>(texts: impl Iterator<Item = &'a Text>) -> Text {
    let mut all = Text::new();
    for text in texts {
        all.append(text);
        all.push('\n');
    }
    all
}

/// The word with `{}`, `{1}`, `{2}` … replaced, for each combination of the sources' words.
fn filled(word: &Text, sources: &[&[Text]]) -> Vec<Text> {
    let mut combinations: Vec<Vec<&Text>> = vec![Vec::new()];
    let single = sources.len() == 1;
    for source in sources {
        let mut next = Vec::new();
        for combination in &combinations {
            for value in *source {
                if !single && next.len() >= COMBINATIONS_MAX {
                    break;
                }
                let mut longer = combination.clone();
                longer.push(value);
                next.push(longer);
            }
        }
        combinations = next;
    }
    let mut made = 0;
    let mut words = Vec::new();
    for values in &combinations {
        let longest = values.iter().map(|value| value.len()).sum::<usize>();
        made += word.len() + longest * REPLACEMENTS_MAX.min(word.len());
        if made > MADE_MAX_BYTES && !words.is_empty() {
            // What cannot be put in place still stands for itself.
            words.extend(values.iter().map(|value| (*value).clone()));
        } else {
            words.push(fill(word, values));
        }
    }
    words
}

fn fill(word: &Text, values: &[&Text]) -> Text {
    let text = word.as_str();
    let mut filled = started_from(word);
    let mut from = 0;
    for _ in 0..REPLACEMENTS_MAX {
        let Some(open) = text.get(from..).and_then(|rest| rest.find('{')) else { break };
        let open = from + open;
        let Some(close) = text.get(open..).and_then(|rest| rest.find('}')) else { break };
        let close = open + close + 1;
        let inside = text.get(open + 1..close - 1).unwrap_or("");
        filled.append_slice(word, from, open);
        match inside.trim_matches(|c| matches!(c, '.' | '/')) {
            "" => {
                let all: Vec<Text> = values.iter().map(|value| (*value).clone()).collect();
                filled.append(&joined(&all));
            }
            number => {
                match number.parse::<usize>().ok().and_then(|n| values.get(n.wrapping_sub(1))) {
                    Some(value) => filled.append(value),
                    None => filled.append_slice(word, open, close),
                }
            }
        }
        from = close;
    }
    filled.append_slice(word, from, text.len());
    filled
}
