//! Inputs made of others: bytes flipped, dropped, doubled and spliced, and tokens strewn in.

use crate::shells::Xorshift;

/// What means something to a shell.
pub const SHELL_TOKENS: [&str; 96] = [
    "cat ",
    "/etc/shadow",
    "/",
    "..",
    "~",
    "sh -c ",
    "eval ",
    "echo ",
    "printf ",
    "base64 -d",
    "rev",
    "tr a b",
    "sed s/a/b/",
    "xargs ",
    "find ",
    "cd ",
    "pushd ",
    "popd",
    "read x",
    "set -- ",
    "shift",
    "for ",
    "in ",
    "do ",
    "done",
    "while ",
    "until ",
    "if ",
    "then ",
    "else ",
    "elif ",
    "fi",
    "case ",
    "esac",
    "function ",
    "f() ",
    "{ ",
    " }",
    "( ",
    " )",
    "[[ ",
    " ]]",
    "[ ",
    " ]",
    "((",
    "))",
    "$((",
    "$(",
    "`",
    "${",
    "}",
    "${a:-",
    "${a#",
    "${a%%",
    "${a/",
    "${a:1:2}",
    "${a^^}",
    "${!a}",
    "${a[@]}",
    "$'",
    "$\"",
    "'",
    "\"",
    "\\",
    "\\\n",
    "\n",
    ";",
    ";;",
    "&&",
    "||",
    "|",
    "&",
    "<",
    ">",
    ">>",
    "<<E\n",
    "\nE\n",
    "<<-E\n",
    "<<<",
    "<(",
    ">(",
    "<>",
    "3<",
    "<&3",
    "*",
    "?",
    "[a-z]",
    "[!x]",
    "[[:alpha:]]",
    "@(a|b)",
    "!(",
    "{a,b}",
    "{1..9}",
    "$1",
    "\"$@\"",
    "#",
];

/// What means something in a request URI.
pub const URI_TOKENS: [&str; 24] = [
    "/api/v1/namespaces/shop/pods/web-1/exec",
    "/api/v1/nodes/n1/proxy/run/shop/web-1/app",
    "/api/v1/nodes/n1/proxy/exec/shop/web-1/app",
    "?",
    "&",
    "=",
    "command=",
    "cmd=",
    "container=",
    "stdin=",
    "tty=",
    "input=1",
    "%2F",
    "%",
    "%2",
    "%00",
    "%ff",
    "+",
    "//",
    "/../",
    "http://",
    ";",
    "command=%2Fbin%2Fsh",
    "é",
];

/// What means something in a wrapped event.
pub const JSON_TOKENS: [&str; 32] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\\"",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-1",
    "1e999",
    "\"kind\":\"Event\"",
    "\"kind\":\"EventList\"",
    "\"items\":[",
    "\"log\":\"",
    "\"message\":",
    "\"data\":",
    "\"records\":[",
    "\"logEvents\":[",
    "\"jsonPayload\":{",
    "\"protoPayload\":{",
    "\"resourceLogs\":[",
    "\"apiVersion\":\"audit.k8s.io/v1\"",
    "\"auditID\":\"x\"",
    "\"stage\":\"ResponseComplete\"",
    "\"requestURI\":\"/",
    "\n",
    "\u{feff}",
    "\"body\":{\"stringValue\":\"",
];

const STEPS_MAX: usize = 6;
const SPLICED_MAX_BYTES: usize = 256;
/// Most tokens of an input that is made of nothing else.
const SOUP_TOKENS_MAX: usize = 48;

/// One of the seeds, changed in a few places.
pub fn mutated(random: &mut Xorshift, seeds: &[Vec<u8>], tokens: &[&str]) -> Vec<u8> {
    if random.below(4) == 0 {
        let count = 1 + random.below(SOUP_TOKENS_MAX);
        return (0..count).flat_map(|_| tokens[random.below(tokens.len())].bytes()).collect();
    }
    let mut out = seeds[random.below(seeds.len())].clone();
    for _ in 0..random.below(STEPS_MAX) {
        let at = random.below(out.len() + 1);
        let end = at + random.below((out.len() - at).min(SPLICED_MAX_BYTES) + 1);
        match random.below(8) {
            0 if at < out.len() => out[at] ^= 1 << random.below(8),
            1 if at < out.len() => out[at] = random.next() as u8,
            2 => drop(out.drain(at..end)),
            3 => out.truncate(at),
            4 => {
                let part = out[at..end].to_vec();
                let times = 1 + random.below(8);
                for _ in 0..times {
                    out.splice(at..at, part.iter().copied());
                }
            }
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let to = from + random.below((other.len() - from).min(SPLICED_MAX_BYTES) + 1);
                out.splice(at..end.min(at + 8).max(at), other[from..to].iter().copied());
            }
            _ => {
                let token = tokens[random.below(tokens.len())];
                out.splice(at..at, token.bytes());
            }
        }
    }
    out
}
