//! Which names are those of secrets, and which values are none whatever their name.
//!
//! Owns the vocabulary. A name is taken apart into its words (`dbRootPassword`, `DB_ROOT_PASSWORD`
//! and `--db-root-password` are the same); what it says of a file, a length or a policy makes it
//! the name of no secret. A path is no secret: which file was read is what an alert is about.

use super::REDACTED;

/// Longest name that is one.
pub const NAME_MAX_BYTES: usize = 80;

/// A name with a word that ends so is a secret's, wherever the word stands.
const STRONG: [&str; 22] = [
    "password",
    "passwd",
    "passwort",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "jwt",
    "psk",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "authkey",
    "accountkey",
    "requirepass",
    "masterauth",
    "credential",
    "credentials",
    "creds",
    "cookie",
    "bearer",
];

/// A name that ends so is a secret's: words joined by underscores.
const ENDINGS: [&str; 33] = [
    "pwd",
    "pw",
    "pass",
    "key_base",
    "api_key",
    "access_key",
    "secret_key",
    "private_key",
    "account_key",
    "encryption_key",
    "signing_key",
    "shared_key",
    "master_key",
    "auth_key",
    "license_key",
    "session_key",
    "storage_key",
    "app_key",
    "application_key",
    "hmac_key",
    "service_key",
    "deploy_key",
    "subscription_key",
    "instrumentation_key",
    "rediscli_auth",
    "basic_auth",
    "http_auth",
    "npm_auth",
    "proxy_auth",
    "registry_auth",
    "x_amz_signature",
    "shared_access_signature",
    "connection_pass",
];

/// Words that end in `pass` and mean none.
const PASSES: [&str; 8] =
    ["bypass", "compass", "trespass", "encompass", "surpass", "multipass", "overpass", "askpass"];

/// A name that ends so tells something about a secret.
const ABOUT: [&str; 83] = [
    "file",
    "files",
    "filename",
    "path",
    "paths",
    "dir",
    "directory",
    "folder",
    "location",
    "name",
    "names",
    "ref",
    "refs",
    "url",
    "uri",
    "endpoint",
    "host",
    "port",
    "id",
    "ids",
    "ttl",
    "expiry",
    "expires",
    "expiration",
    "timeout",
    "age",
    "lifetime",
    "duration",
    "length",
    "len",
    "size",
    "count",
    "limit",
    "min",
    "max",
    "policy",
    "type",
    "kind",
    "version",
    "enabled",
    "disabled",
    "enable",
    "disable",
    "required",
    "optional",
    "audience",
    "issuer",
    "provider",
    "mount",
    "command",
    "cmd",
    "script",
    "prompt",
    "algorithm",
    "alg",
    "method",
    "format",
    "hint",
    "field",
    "column",
    "list",
    "stdin",
    "fd",
    "env",
    "mode",
    "rotation",
    "seconds",
    "minutes",
    "hours",
    "days",
    "ms",
    "backend",
    "class",
    "namespace",
    "check",
    "reset",
    "store",
    "manager",
    "storage",
    "engine",
    "reviewer",
    "review",
    "arn",
];

/// A name that begins so is a switch.
const SWITCHES: [&str; 20] = [
    "no", "pass", "skip", "without", "with", "ask", "prompt", "force", "require", "use", "show",
    "hide", "generate", "has", "is", "enable", "disable", "allow", "print", "validate",
];

/// Values that say whether there is one.
const WORDS: [&str; 16] = [
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "null",
    "none",
    "nil",
    "undefined",
    "0",
    "1",
    "enabled",
    "disabled",
    "required",
    "optional",
];

/// First directories of paths.
const ROOTS: [&str; 27] = [
    "app",
    "bin",
    "boot",
    "data",
    "dev",
    "etc",
    "home",
    "host",
    "lib",
    "lib64",
    "media",
    "mnt",
    "opt",
    "proc",
    "rootfs",
    "root",
    "run",
    "sbin",
    "secrets",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
    "vault",
    "Users",
    "workspace",
];

/// Files of keys and certificates.
const EXTENSIONS: [&str; 12] = [
    ".pem",
    ".key",
    ".crt",
    ".cer",
    ".p12",
    ".pfx",
    ".jks",
    ".keystore",
    ".der",
    ".pub",
    ".csr",
    ".kubeconfig",
];

/// Whether what goes by this name is secret.
pub fn is_secret(name: &str) -> bool {
    // The directory that a shell is in.
    if name.len() > NAME_MAX_BYTES || matches!(name, "PWD" | "OLDPWD") {
        return false;
    }
    let joined = joined(name);
    let words: Vec<&str> = joined.split('_').filter(|word| !word.is_empty()).collect();
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return false };
    if ABOUT.contains(last) || (words.len() > 1 && SWITCHES.contains(first)) {
        return false;
    }
    let strong = |word: &&str| STRONG.iter().any(|strong| word.ends_with(strong));
    words.iter().any(strong)
        || ENDINGS.iter().any(|ending| joined.ends_with(ending))
            && !PASSES.iter().any(|pass| last.ends_with(pass))
}

/// The words of a name in small letters, an underscore between two; numbers at a word's end go.
fn joined(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    let mut small = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() {
            out.truncate(out.trim_end_matches(|c: char| c.is_ascii_digit()).len());
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            small = false;
            continue;
        }
        if c.is_ascii_uppercase() && small {
            out.push('_');
        }
        small = c.is_ascii_lowercase();
        out.push(c.to_ascii_lowercase());
    }
    let end = out.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_').len();
    out.truncate(end);
    out
}

/// Whether a header's whole value is secret.
pub fn is_secret_header(name: &str) -> bool {
    ["cookie", "set-cookie", "authorization", "proxy-authorization"]
        .iter()
        .any(|header| name.eq_ignore_ascii_case(header))
}

/// Whether a value is none that anything is lost by.
pub fn is_open(value: &str) -> bool {
    let plain = value.replace(REDACTED, "");
    if !plain.chars().any(char::is_alphanumeric) {
        return true;
    }
    WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
        || is_path(value)
        // `docker build --secret id=x,src=/y`
        || value.starts_with("id=")
        // Where openssl is to look for it.
        || ["file:", "env:", "fd:"].iter().any(|place| value.starts_with(place))
        || matches!(value.as_bytes(), [b'%', b's' | b'd' | b'q' | b'v'])
        // Of a pattern that looks for one.
        || [".*", ".+", "[^", "[[", "(.", "([", "\\S", "\\w", "\\s", "\\d", "\\K"].iter().any(|sign| value.starts_with(sign))
}

/// Whether a value is the path of a file: an absolute one of known beginning or of several plain
/// names, one from home or from here, or a file of keys.
pub fn is_path(value: &str) -> bool {
    let value = value.strip_prefix('@').unwrap_or(value);
    let value = value.strip_prefix("file://").unwrap_or(value);
    let of_path = |c: char| c.is_alphanumeric() || "/._-~@:%,*?[]{}!".contains(c);
    if value.is_empty() || !value.chars().all(of_path) {
        return false;
    }
    if EXTENSIONS.iter().any(|extension| value.ends_with(extension)) {
        return true;
    }
    if value.starts_with("./") || value.starts_with("../") {
        return true;
    }
    if let Some(home) = value.strip_prefix('~') {
        let user = home.split('/').next().unwrap_or_default();
        return home.contains('/') && user.len() <= 32;
    }
    let Some(absolute) = value.strip_prefix('/') else { return false };
    let mut names = absolute.split('/').filter(|name| !name.is_empty());
    let Some(first) = names.next() else { return true };
    if ROOTS.contains(&first) {
        return true;
    }
    // Base64 holds slashes too.
    let plain = |c: char| !c.is_ascii_uppercase() && c != '%' && c != ',';
    names.next().is_some() && absolute.chars().all(plain) && absolute.len() <= 255
}

/// Whether a value is so short and plain that it comes up elsewhere and means something else.
pub fn is_common(value: &str) -> bool {
    value.len() < 4
        || (value.len() < 12 && value.bytes().all(|byte| byte.is_ascii_alphabetic()))
        || (value.len() < 6 && value.bytes().all(|byte| byte.is_ascii_digit()))
}
