//! The tree as one line, for tests.
//!
//! `(cat 'a' $b)` is a simple command; quotes show how characters were quoted: `'…'`, `"…"`,
//! `\x\`, `$'…'`, `<…>` for here-documents, `{…}` for arithmetic. An empty word is `_`.

use crate::audit::shell::ast::*;
use crate::audit::shell::text::Step;

pub(super) fn script(script: &Script) -> String {
    let mut out = String::new();
    for (at, item) in script.items.iter().enumerate() {
        out.push_str(match item.connector {
            Connector::Then if at == 0 => "",
            Connector::Then => "; ",
            Connector::And => " && ",
            Connector::Or => " || ",
        });
        out.push_str(&node(&item.node));
        if item.background {
            out.push_str(" &");
        }
    }
    if script.incomplete {
        out.push_str(" INCOMPLETE");
    }
    out
}

fn node(it: &Node) -> String {
    match it {
        Node::Simple(it) => {
            let mut all: Vec<String> = it.assignments.iter().map(assignment).collect();
            all.extend(it.words.iter().map(word));
            all.extend(it.redirects.iter().map(redirect));
            format!("({})", all.join(" "))
        }
        Node::Pipeline { commands, negated } => {
            let commands: Vec<String> = commands.iter().map(node).collect();
            format!("{}[{}]", if *negated { "!" } else { "" }, commands.join(" | "))
        }
        Node::Subshell(it) => format!("(sub {})", script(it)),
        Node::Group(it) => format!("(group {})", script(it)),
        Node::If { arms, otherwise } => {
            let mut out = String::new();
            for (condition, body) in arms {
                out += &format!("if {} then {} ", script(condition), script(body));
            }
            if let Some(body) = otherwise {
                out += &format!("else {} ", script(body));
            }
            format!("({})", out.trim_end())
        }
        Node::For { name, words: Some(list), body } => {
            format!("(for {name} in {} do {})", words(list), script(body))
        }
        Node::For { name, words: None, body } => format!("(for {name} do {})", script(body)),
        Node::ForArithmetic(parts) => format!(
            "(for (({}; {}; {})) do {})",
            word(&parts.first),
            word(&parts.condition),
            word(&parts.next),
            script(&parts.body)
        ),
        Node::While { condition, body, until } => {
            let keyword = if *until { "until" } else { "while" };
            format!("({keyword} {} do {})", script(condition), script(body))
        }
        Node::Case { subject, arms } => {
            let arms: Vec<String> = arms
                .iter()
                .map(|arm| {
                    let patterns: Vec<String> = arm.patterns.iter().map(word).collect();
                    format!(" {}) {};;", patterns.join("|"), script(&arm.body))
                })
                .collect();
            format!("(case {}{})", word(subject), arms.concat())
        }
        Node::Function { name, body } => format!("(function {name} {})", node(body)),
        Node::Test { words: list, .. } => format!("[[ {} ]]", words(list)),
        Node::Arithmetic(it) => format!("(({}))", word(it)),
        Node::Redirected { node: it, redirects } => {
            let redirects: Vec<String> = redirects.iter().map(redirect).collect();
            format!("(with {} {})", node(it), redirects.join(" "))
        }
    }
}

fn assignment(it: &Assignment) -> String {
    let index = it.index.as_ref().map(|index| format!("[{}]", word(index))).unwrap_or_default();
    let value = match &it.value {
        AssignedValue::Word(it) => word(it),
        AssignedValue::Array { elements, .. } => {
            let elements: Vec<String> = elements.iter().map(element).collect();
            format!("({})", elements.join(" "))
        }
    };
    format!("{}{index}{}={value}", it.name, if it.append { "+" } else { "" })
}

fn element(it: &Element) -> String {
    let sign = if it.append { "+=" } else { "=" };
    let key = it.key.as_ref().map(|key| format!("[{}]{sign}", word(key)));
    key.unwrap_or_default() + &word(&it.value)
}

fn redirect(it: &Redirect) -> String {
    let kind = match it.kind {
        RedirectKind::Read => "<",
        RedirectKind::Write => ">",
        RedirectKind::Append => ">>",
        RedirectKind::ReadWrite => "<>",
        RedirectKind::DuplicateInput => "<&",
        RedirectKind::DuplicateOutput => ">&",
        RedirectKind::Both => "&>",
        RedirectKind::HereDocument => "<<",
        RedirectKind::HereString => "<<<",
    };
    let descriptor = it.descriptor.map(|number| number.to_string()).unwrap_or_default();
    format!("{descriptor}{kind}{}", word(&it.target))
}

fn words(list: &[Word]) -> String {
    list.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn word(it: &Word) -> String {
    if it.parts.is_empty() { "_".to_owned() } else { parts(&it.parts) }
}

pub(super) fn parts(list: &[Part]) -> String {
    list.iter().map(part).collect::<String>().replace('\n', "\\n").replace('\t', "\\t")
}

fn part(it: &Part) -> String {
    match it {
        Part::Literal(text) => text.to_string(),
        Part::Quoted { text, step } => match step {
            Step::Quotes => format!("'{text}'"),
            Step::Backslash => format!("\\{text}\\"),
            Step::AnsiQuotes => format!("$'{text}'"),
            Step::HereDocument => format!("<{text}>"),
            Step::Arithmetic => format!("{{{text}}}"),
            Step::ParameterOperator => format!("{{{text}}}"),
            other => format!("{other:?}"),
        },
        Part::Double(list) => format!("\"{}\"", parts(list)),
        Part::Parameter(it) => parameter(it),
        Part::Command(it) => format!("$({})", script(it)),
        Part::Arithmetic(it) => format!("$(({}))", word(it)),
        Part::ProcessInput(it) => format!("<({})", script(it)),
        Part::ProcessOutput(it) => format!(">({})", script(it)),
        Part::Extended { kind, alternatives } => {
            let list: Vec<String> = alternatives.iter().map(word).collect();
            format!("{kind}({})", list.join("|"))
        }
    }
}

fn parameter(it: &Parameter) -> String {
    let index = it.index.as_ref().map(|index| format!("[{}]", word(index))).unwrap_or_default();
    let colon = |colon: &bool| if *colon { ":" } else { "" };
    let operator = match &it.operator {
        Operator::None => String::new(),
        Operator::Length => " length".to_owned(),
        Operator::Default { colon: c, word: it } => format!("{}-{}", colon(c), word(it)),
        Operator::Assign { colon: c, word: it } => format!("{}={}", colon(c), word(it)),
        Operator::Alternative { colon: c, word: it } => format!("{}+{}", colon(c), word(it)),
        Operator::Error { colon: c, word: it } => format!("{}?{}", colon(c), word(it)),
        Operator::RemovePrefix { longest, pattern } => {
            format!("{}{}", if *longest { "##" } else { "#" }, word(pattern))
        }
        Operator::RemoveSuffix { longest, pattern } => {
            format!("{}{}", if *longest { "%%" } else { "%" }, word(pattern))
        }
        Operator::Substring { offset, length: None } => format!(":{}", word(offset)),
        Operator::Substring { offset, length: Some(length) } => {
            format!(":{}:{}", word(offset), word(length))
        }
        Operator::Replace { which, pattern, with } => {
            format!(" {which:?}/{}/{}", word(pattern), word(with))
        }
        Operator::ChangeCase { upper, all, pattern } => format!(
            " {}{} {}",
            if *upper { "upper" } else { "lower" },
            if *all { " all" } else { "" },
            pattern.as_ref().map(word).unwrap_or_default()
        ),
        Operator::Indirect => " indirect".to_owned(),
        Operator::Names => " names".to_owned(),
        Operator::Transform(letter) => format!("@{letter}"),
    };
    format!("${{{}{index}{operator}}}", it.name)
}
