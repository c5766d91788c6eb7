//! `mapfile` and `readarray`: the lines of an input as an array.

use super::super::text::Text;
use super::Interpreter;
use super::array::Array;
use super::builtins::UNKNOWN_DESCRIPTOR;

/// `mapfile [-t] [-d x] [-n count] [-s count] [-O index] [name]`: the lines of the standard input
/// as an array.
pub(super) fn read(shell: &mut Interpreter<'_>, arguments: &[Text]) {
    let (mut ends, mut cut, mut name) = ('\n', false, None);
    let (mut most, mut skipped, mut origin) = (0_usize, 0_usize, None);
    let mut descriptor = 0;
    let mut rest = arguments.iter().map(Text::as_str);
    let mut ended = false;
    while let Some(word) = rest.next() {
        if word == "--" && name.is_none() && !ended {
            ended = true;
            continue;
        }
        let Some(options) = word.strip_prefix('-').filter(|_| name.is_none() && !ended) else {
            name.get_or_insert(word);
            continue;
        };
        for (at, option) in options.char_indices() {
            if option == 't' {
                cut = true;
                continue;
            }
            let attached = options.get(at + option.len_utf8()..).unwrap_or_default();
            let value =
                if attached.is_empty() { rest.next().unwrap_or_default() } else { attached };
            match option {
                'd' => ends = value.chars().next().unwrap_or('\0'),
                'n' => most = value.parse().unwrap_or(0),
                's' => skipped = value.parse().unwrap_or(0),
                'O' => origin = value.parse::<i64>().ok(),
                'u' => descriptor = value.parse().unwrap_or(UNKNOWN_DESCRIPTOR),
                _ => {}
            }
            break;
        }
    }
    let source = shell.take_descriptor(descriptor);
    let text = source.into_text();
    if !shell.budget.spend(text.len()) {
        return;
    }
    let name = name.unwrap_or("MAPFILE").to_owned();
    let mut array = match origin {
        Some(_) => shell.environment.to_change(&name),
        None => Array::default(),
    };
    let most = if most == 0 { usize::MAX } else { most };
    let mut next = origin.unwrap_or(0);
    for line in lines(&text, ends, cut).skip(skipped).take(most) {
        if !shell.put(&mut array, &next.to_string(), line, false) {
            break;
        }
        next = next.saturating_add(1);
    }
    if shell.budget.spend(array.elements.len()) {
        shell.environment().set_array(&name, array);
    }
}

/// The lines of a text, each with what ends it unless that is cut off.
fn lines(text: &Text, ends: char, cut: bool) -> impl Iterator<Item = Text> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = text.as_str().get(from..).unwrap_or_default();
        if rest.is_empty() && (from > 0 || text.is_empty()) {
            return None;
        }
        let (end, next) = match rest.find(ends) {
            Some(length) => (from + length, from + length + ends.len_utf8()),
            None => (text.len(), text.len()),
        };
        let line = text.slice(from, if cut { end } else { next });
        // A hole alone is one line.
        from = next.max(1);
        Some(line)
    })
}
