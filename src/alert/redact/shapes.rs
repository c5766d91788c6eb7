//! Secrets that are known by what they look like, whatever stands around them.
//!
//! Owns the published forms of tokens and keys, passwords in URLs, and the few sentences (of SQL,
//! of a database's shell) that hold a password.

use std::ops::Range;

use super::GROUP;
use crate::rules::patterns::PatternList;

/// Name and pattern. A group named `secret` is what is hidden, else the whole match.
pub const SHAPES: [(&str, &str); 29] = [
    ("bearer", r"\b(?:[Bb]earer|BEARER)\s+(?<secret>[A-Za-z0-9._~+/=-]{8,})"),
    (
        "authorization",
        r#"(?i)\bauthorization["']?\s*[:=]\s*["']?(?:(?:bearer|basic|token|apikey|digest)\s+)?(?<secret>[a-z0-9._~+/=:-]{4,})"#,
    ),
    ("jwt", r"(?<secret>\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?)"),
    // `https://user:password@host`, up to the last `@` before the host. In those of databases a
    // slash is written into passwords, too.
    ("url", r#"://[^\s/:@"'?#]*:(?<secret>[^\s/"'?#]+)@"#),
    (
        "url-slash",
        r#"\b(?:postgres(?:ql)?|mysql|mongodb(?:\+srv)?|rediss?|amqps?)://[^\s/:@"']*:(?<secret>[^\s"']+)@"#,
    ),
    // A user of such a length is a token: `git clone https://TOKEN@host/…`.
    // Of `ssh://` it is a user, of `docker://` an image before its digest.
    ("url-token", r"\b(?:https?|wss?|ftps?|git)://(?<secret>[A-Za-z0-9_-]{20,})@"),
    ("url-key", r"[?&]key=(?<secret>[A-Za-z0-9_.~-]{16,})"),
    (
        "xml",
        r"(?i)<(?:[\w-]+:)?[\w.-]*(?:password|passwd|passphrase|secret|token|api-?key)>(?<secret>[^<\s][^<]*)</",
    ),
    (
        "xml-value",
        r#"(?i)\b(?:name|key)=["'][\w.:-]*(?:password|passwd|passphrase|secret|token|api-?key)["']\s+value=["'](?<secret>[^"'<>]+)["']"#,
    ),
    (
        "xml-value-first",
        r#"(?i)\bvalue=["'](?<secret>[^"'<>]+)["']\s+(?:name|key)=["'][\w.:-]*(?:password|passwd|passphrase|secret|token|api-?key)["']"#,
    ),
    ("aws", r"(?<secret>\b(?:AKIA|ASIA)[A-Z0-9]{16}\b)"),
    ("github", r"(?<secret>\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}))"),
    ("gitlab", r"(?<secret>\bgl(?:pat|ptt|dt|rt|cbt|soat|ft|agent|imt|oas)-[\w.-]{16,})"),
    ("slack", r"(?<secret>\b(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,})"),
    ("slack-hook", r"hooks\.slack\.com/services/(?<secret>[A-Za-z0-9/]{20,})"),
    ("stripe", r"(?<secret>\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,})"),
    ("openai", r"(?<secret>\bsk-[A-Za-z0-9_-]{20,})"),
    ("npm", r"(?<secret>\bnpm_[A-Za-z0-9]{30,})"),
    ("pypi", r"(?<secret>\bpypi-[A-Za-z0-9_-]{16,})"),
    ("vault", r"(?<secret>\b(?:hv[sbr]\.[A-Za-z0-9_-]{16,}|s\.[A-Za-z0-9]{24}\b))"),
    ("digitalocean", r"(?<secret>\bdo[opr]_v1_[A-Za-z0-9]{32,})"),
    ("sendgrid", r"(?<secret>\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})"),
    (
        "google",
        r"(?<secret>\b(?:AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{16,}|GOCSPX-[A-Za-z0-9_-]{20,}))",
    ),
    (
        "private-key",
        r"(?<secret>-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z))",
    ),
    (
        "sql",
        r#"(?i)\b(?:identified\s+(?:with\s+\S+\s+)?(?:by|as)|(?:with|set)\s+(?:encrypted\s+)?password(?:\s+for\s+\S+)?(?:\s*=)?|encrypted\s+password|\spassword)\s*(?:password\s*\(\s*)?'(?<secret>(?:[^']|'')+)"#,
    ),
    ("mongo", r#"\bdb\.auth\(\s*["'][^"']*["']\s*,\s*["'](?<secret>[^"']+)"#),
    // Address, user, password.
    (
        "php",
        r#"\b(?:PDO|mysqli|mysqli_connect)\(\s*["'][^"']*["']\s*,\s*["'][^"']*["']\s*,\s*["'](?<secret>[^"']+)"#,
    ),
    ("telegram", r"\bbot(?<secret>[0-9]{8,10}:[A-Za-z0-9_-]{30,})"),
    ("azure", r#"(?i)[?&;](?:sig|accountkey|sharedaccesskey)=(?<secret>[^\s&;"']+)"#),
];

/// What of a text has a form of these. A key in a URL is a secret's if it looks made up:
/// `?key=kubernetes-deployments` is a word.
pub fn spans(shapes: &PatternList, text: &str) -> Vec<Range<usize>> {
    let mut spans = shapes.spans_of(GROUP, text);
    spans.retain(|span| {
        let before = text.get(..span.start).unwrap_or_default();
        let value = text.get(span.clone()).unwrap_or_default();
        if before.ends_with(['"', '\'']) && is_expansion(value) {
            return false;
        }
        let is_key = before.ends_with("?key=") || before.ends_with("&key=");
        !is_key || is_made_up(value)
    });
    spans
}

/// `$NAME`, `${NAME}` and nothing else.
fn is_expansion(value: &str) -> bool {
    let Some(rest) = value.strip_prefix('$') else { return false };
    let name = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(rest);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    !name.is_empty() && name.bytes().all(plain)
}

fn is_made_up(value: &str) -> bool {
    let has = |is: fn(&u8) -> bool| value.as_bytes().iter().any(is);
    let letters = has(u8::is_ascii_lowercase) || has(u8::is_ascii_uppercase);
    letters && has(u8::is_ascii_digit) || has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
}
