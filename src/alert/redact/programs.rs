//! Where well-known programs take a secret: `mysql -pX`, `curl -u user:X`, `htpasswd -b f u X`.
//!
//! Owns the table of their options and operands, and who reads a secret from its standard input.
//! What an option's name tells by itself (`--password`) is for `names`.

use std::ops::Range;

/// How many programs of one command are looked at for what follows them.
const PROGRAMS_MAX: usize = 16;

/// What of an option's value is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// After the first such byte, as in `user:password`.
    After(u8),
    /// `pass:X` of openssl.
    Source,
    /// All of it, if it is a cookie and no file's name.
    Cookie,
    /// `user:password@host`, with a scheme before it or without.
    Login,
    /// Of a line for `ftp`: `user NAME password`, `quote PASS password`.
    Ftp,
    /// Of a line of `.pgpass`: `host:port:database:user:password`.
    Pgpass,
}

/// Where an option's value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Behind the letter: `-pX`.
    Glued,
    /// In the next word, or behind a `=`.
    Next,
    /// Either.
    Both,
}

struct Rule {
    /// A name that ends in `*` is one's beginning.
    programs: &'static [&'static str],
    /// Words of which one must come before the option.
    commands: &'static [&'static str],
    option: &'static str,
    at: At,
    part: Part,
}

const fn option(
    programs: &'static [&'static str],
    option: &'static str,
    at: At,
    part: Part,
) -> Rule {
    Rule { programs, commands: &[], option, at, part }
}

const REGISTRIES: &[&str] = &[
    "docker", "podman", "nerdctl", "helm", "crane", "oras", "skopeo", "buildah", "regctl", "az",
    "oc", "cosign",
];
const LOGIN: &[&str] = &["login", "auth"];
const HTTP: &[&str] = &["curl", "http", "https", "xh", "xhs", "httpie"];
const SAMBA: &[&str] = &["smbclient", "smbget", "rpcclient", "net", "mount.cifs", "smbmap"];
const COPY: &[&str] = &["skopeo", "podman", "buildah", "ctr", "crictl"];

const RULES: &[Rule] = &[
    option(
        &["mysql*", "mariadb*", "percona*", "xtrabackup", "mytop"],
        "-p",
        At::Glued,
        Part::Whole,
    ),
    option(&["mysqladmin", "mariadb-admin"], "password", At::Next, Part::Whole),
    option(&["sshpass"], "-p", At::Both, Part::Whole),
    option(&["mongo*"], "-p", At::Both, Part::Whole),
    option(
        &["redis-cli", "valkey-cli", "keydb-cli", "redis-benchmark"],
        "-a",
        At::Both,
        Part::Whole,
    ),
    option(&["curl"], "-u", At::Both, Part::After(b':')),
    option(&["curl"], "-U", At::Both, Part::After(b':')),
    option(&["curl"], "-E", At::Both, Part::After(b':')),
    option(&["curl"], "--cert", At::Next, Part::After(b':')),
    option(&["curl"], "--proxy-user", At::Next, Part::After(b':')),
    option(
        &["curl", "wget", "http", "etcdctl", "influx", "lftp"],
        "--user",
        At::Next,
        Part::After(b':'),
    ),
    option(&["curl"], "-x", At::Both, Part::Login),
    option(&["curl"], "--proxy", At::Next, Part::Login),
    option(&["curl"], "--preproxy", At::Next, Part::Login),
    option(&["curl"], "--socks5", At::Next, Part::Login),
    option(&["curl"], "--socks5-hostname", At::Next, Part::Login),
    option(&["curl"], "-b", At::Both, Part::Cookie),
    option(&["curl"], "--cookie", At::Next, Part::Cookie),
    option(HTTP, "-a", At::Both, Part::After(b':')),
    option(HTTP, "--auth", At::Next, Part::After(b':')),
    Rule { programs: REGISTRIES, commands: LOGIN, option: "-p", at: At::Both, part: Part::Whole },
    option(COPY, "--creds", At::Next, Part::After(b':')),
    option(COPY, "--src-creds", At::Next, Part::After(b':')),
    option(COPY, "--dest-creds", At::Next, Part::After(b':')),
    option(COPY, "--user", At::Next, Part::After(b':')),
    option(&["ctr"], "-u", At::Both, Part::After(b':')),
    option(&["openssl"], "-passin", At::Next, Part::Source),
    option(&["openssl"], "-passout", At::Next, Part::Source),
    option(&["openssl"], "-pass", At::Next, Part::Source),
    option(&["openssl"], "-password", At::Next, Part::Source),
    option(&["openssl"], "-k", At::Next, Part::Whole),
    option(&["openssl"], "-K", At::Next, Part::Whole),
    option(&["openssl"], "-macopt", At::Next, Part::After(b':')),
    option(&["openssl"], "-hmac", At::Next, Part::Whole),
    option(&["ldap*"], "-w", At::Both, Part::Whole),
    option(&["ldappasswd"], "-s", At::Both, Part::Whole),
    option(&["ldappasswd"], "-a", At::Both, Part::Whole),
    option(SAMBA, "-U", At::Both, Part::After(b'%')),
    option(SAMBA, "--user", At::Next, Part::After(b'%')),
    option(&["zip", "unzip", "zipcloak"], "-P", At::Both, Part::Whole),
    option(&["7z", "7za", "7zr", "7zz", "rar", "unrar"], "-p", At::Glued, Part::Whole),
    option(&["rar"], "-hp", At::Glued, Part::Whole),
    option(
        &["sqlcmd", "bcp", "isql", "mosquitto_pub", "mosquitto_sub", "ipmitool"],
        "-P",
        At::Both,
        Part::Whole,
    ),
    option(
        &["useradd", "usermod", "cqlsh", "psexec", "winexe", "xfreerdp", "rdesktop", "mongoimport"],
        "-p",
        At::Both,
        Part::Whole,
    ),
    option(&["ssh-keygen"], "-N", At::Both, Part::Whole),
    option(&["ssh-keygen"], "-P", At::Both, Part::Whole),
    option(&["lftp", "ncftp*"], "-u", At::Both, Part::After(b',')),
    option(&["ncftp*"], "-p", At::Both, Part::Whole),
    option(&["snmp*"], "-A", At::Both, Part::Whole),
    option(&["snmp*"], "-X", At::Both, Part::Whole),
    option(&["snmp*"], "-c", At::Both, Part::Whole),
    option(&["etcdctl"], "-u", At::Both, Part::After(b':')),
    option(&["kubectl", "oc", "k3s", "microk8s"], "--from-literal", At::Next, Part::After(b'=')),
    option(&["elasticsearch*", "opensearch*"], "-p", At::Next, Part::Whole),
    option(&["npm", "yarn", "pnpm"], "--otp", At::Next, Part::Whole),
    option(&["wpa_cli", "nmcli"], "password", At::Next, Part::Whole),
    option(&["nmcli"], "wifi-sec.psk", At::Next, Part::Whole),
];

/// A secret at a word: its index, the bytes of the word, and what of them.
pub type Place = (usize, Range<usize>, Part);

/// The bytes of the value that are secret.
pub fn secret_of(part: Part, value: &str) -> Option<Range<usize>> {
    let behind = |at: usize| at + 1..value.len();
    match part {
        Part::Whole => Some(0..value.len()),
        Part::After(sign) => value.bytes().position(|byte| byte == sign).map(behind),
        Part::Cookie => value.contains('=').then_some(0..value.len()),
        Part::Source => {
            value.strip_prefix("pass:").map(|rest| value.len() - rest.len()..value.len())
        }
        Part::Login => {
            let start = value.find("://").map_or(0, |at| at + 3);
            let host = value.rfind('@')?;
            let colon = value.get(start..host)?.find(':')?;
            Some(start + colon + 1..host)
        }
        Part::Ftp => {
            let words: Vec<&str> = value.split_ascii_whitespace().collect();
            let is = |at: usize, names: &[&str]| {
                let word = words.get(at).copied().unwrap_or_default();
                names.iter().any(|name| word.eq_ignore_ascii_case(name))
            };
            let at = match () {
                () if is(0, &["user"]) => 2,
                () if is(0, &["pass", "password"]) => 1,
                () if is(0, &["quote", "quot", "literal"]) && is(1, &["pass"]) => 2,
                () => return None,
            };
            let start = words.get(at)?.as_ptr().addr() - value.as_ptr().addr();
            Some(start..start + words.get(at)?.len())
        }
        Part::Pgpass => {
            let mut colons = value.match_indices(':').map(|(at, _)| at);
            let (first, second) = (colons.next()?, colons.next()?);
            let port = value.get(first + 1..second)?;
            let is_port =
                port == "*" || !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            colons.nth(1).filter(|_| is_port).map(behind)
        }
    }
}

/// The secrets that the words hold because of the program which they are for.
pub fn places(words: &[&str]) -> Vec<Place> {
    let mut out = Vec::new();
    let mut rules: Vec<(&Rule, bool)> = Vec::new();
    let mut with_operands = 0;
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).map(|next| (at + 1, 0..next.len()));
        for (rule, holds) in &mut rules {
            *holds |= rule.commands.contains(word);
            if *holds && let Some((index, range)) = value_of(rule, word, at, next.clone()) {
                out.push((index, range, rule.part));
            }
        }
        if word.len() > 256 || word.starts_with('-') || word.contains(['=', ' ']) {
            continue;
        }
        let name = base_name(word);
        for rule in RULES.iter().filter(|rule| is_of(rule.programs, name)) {
            if !rules.iter().any(|(known, _)| std::ptr::eq(*known, rule)) {
                rules.push((rule, rule.commands.is_empty()));
            }
        }
        // A program's name that is all there is costs no more than so many looks at what follows.
        if with_operands < PROGRAMS_MAX && operands(name, words, at, &mut out) {
            with_operands += 1;
        }
    }
    out
}

fn is_of(programs: &[&str], name: &str) -> bool {
    programs.iter().any(|program| match program.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *program,
    })
}

/// The last part of a program's path.
pub fn base_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

fn value_of(
    rule: &Rule,
    word: &str,
    at: usize,
    next: Option<(usize, Range<usize>)>,
) -> Option<(usize, Range<usize>)> {
    let rest = match word.strip_prefix(rule.option) {
        Some(rest) => rest,
        // `curl -su user:password`: letters in one word, of which the last takes a value.
        None if rule.programs == ["curl"] && is_cluster(word, rule.option) => "",
        None => return None,
    };
    let long = rule.option.starts_with("--") || rule.at == At::Next;
    match (rule.at, rest) {
        (At::Next | At::Both, "") => next,
        (At::Glued, "") => None,
        _ if long => {
            let value = rest.strip_prefix('=')?;
            Some((at, word.len() - value.len()..word.len()))
        }
        (_, rest) => {
            let value = rest.strip_prefix('=').unwrap_or(rest);
            Some((at, word.len() - value.len()..word.len()))
        }
    }
}

fn is_cluster(word: &str, option: &str) -> bool {
    let letter = option.strip_prefix('-').filter(|letter| letter.len() == 1);
    let (Some(letter), Some(letters)) = (letter, word.strip_prefix('-')) else { return false };
    letters.len() < 12
        && letters.ends_with(letter)
        && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Secrets that no option names. `at` is the word of the program; whether it is one of those.
fn operands(name: &str, words: &[&str], at: usize, out: &mut Vec<Place>) -> bool {
    let rest = || (at + 1..words.len()).filter(|index| !words[*index].starts_with('-'));
    let mut whole = |index: Option<usize>| {
        if let Some((index, word)) = index.and_then(|at| Some((at, words.get(at)?))) {
            out.push((index, 0..word.len(), Part::Whole));
        }
    };
    match name {
        // `htpasswd -b FILE USER PASSWORD`, without the file where it is shown only (`-n`).
        "htpasswd" => {
            let letters = || words[at + 1..].iter().filter_map(|word| word.strip_prefix('-'));
            if letters().any(|letters| letters.contains('b')) {
                let shown = letters().any(|letters| letters.contains('n'));
                whole(rest().nth(if shown { 1 } else { 2 }));
            }
        }
        "rabbitmqctl" => {
            let commands = ["add_user", "change_password", "authenticate_user"];
            let command = rest().find(|index| commands.contains(&words[*index]));
            whole(command.map(|command| command + 2));
        }
        "vault" | "bao" => {
            let command = rest().next().map(|index| words[index]);
            if command == Some("login") {
                whole(rest().nth(1).filter(|index| !words[*index].contains('=')));
            }
            let verb = rest().take(2).map(|index| words[index]).last();
            if [command, verb]
                .iter()
                .any(|word| matches!(word, Some("write" | "put" | "patch" | "login")))
            {
                for index in rest() {
                    if let Some((key, _)) = words[index].split_once('=') {
                        out.push((index, key.len() + 1..words[index].len(), Part::Whole));
                    }
                }
            }
        }
        // `mc alias set NAME URL ACCESS-KEY SECRET-KEY`
        "mc" | "mcli" => {
            if let Some(set) = rest().find(|index| matches!(words[*index], "set" | "add")) {
                whole(rest().filter(|index| *index > set).nth(3));
            }
        }
        // `redis-cli -h HOST auth [USER] PASSWORD`
        "redis-cli" | "valkey-cli" => {
            let is_first = |index: &usize| {
                let mut before = words[at..*index].iter().rev().take(2);
                *index == at + 1 || before.any(|word| word.starts_with('-'))
            };
            let auth = rest().find(|index| words[*index].eq_ignore_ascii_case("auth"));
            if let Some(auth) = auth.filter(is_first) {
                whole(Some(auth + 1));
                whole(Some(auth + 2));
            }
        }
        // `sqlplus user/password@db`
        "sqlplus" | "sqlldr" | "impdp" | "expdp" | "rman" => {
            if let Some(index) = rest().next() {
                let word = words[index];
                if let Some(slash) = word.find('/').filter(|slash| *slash > 0) {
                    let end = word.rfind('@').filter(|at| *at > slash).unwrap_or(word.len());
                    out.push((index, slash + 1..end, Part::Whole));
                }
            }
        }
        "wpa_passphrase" => whole(rest().nth(1)),
        "openssl" if words.get(at + 1) == Some(&"passwd") => {
            let from_file = words[at + 1..].iter().any(|word| matches!(*word, "-in" | "-stdin"));
            whole(rest().skip(1).last().filter(|_| !from_file));
        }
        _ => return false,
    }
    true
}

/// What of its standard input a command takes for a secret.
pub fn reads_secret(words: &[&str]) -> Option<Part> {
    let options = ["--password-stdin", "--passphrase-fd", "--with-token", "--pass-stdin"];
    if words.iter().any(|word| options.iter().any(|option| word.starts_with(option))) {
        return Some(Part::Whole);
    }
    // The name of the program, behind the names of those that run it.
    for (at, word) in words.iter().enumerate().take(PROGRAMS_MAX) {
        let arguments = &words[at + 1..];
        let has = |options: &[&str]| arguments.iter().any(|word| options.contains(word));
        let has_letter = |letter: char| {
            let letters =
                arguments.iter().take(PROGRAMS_MAX).filter_map(|word| word.strip_prefix('-'));
            letters.take_while(|letters| !letters.starts_with('-')).any(|all| all.contains(letter))
        };
        match base_name(word) {
            "chpasswd" => return Some(Part::After(b':')),
            "ftp" | "lftp" | "tnftp" | "pftp" | "ncftp" => return Some(Part::Ftp),
            "read" => return has_letter('s').then_some(Part::Whole),
            "passwd" | "kinit" | "cryptsetup" | "smbpasswd" | "vncpasswd" | "su" => {
                return Some(Part::Whole);
            }
            "sudo" if has(&["--stdin"]) || has_letter('S') => return Some(Part::Whole),
            "htpasswd" => return has_letter('i').then_some(Part::Whole),
            "openssl" => return has(&["stdin", "fd:0", "-stdin"]).then_some(Part::Whole),
            "vault" | "bao" => return (has(&["-"]) && has(&["login"])).then_some(Part::Whole),
            "docker" | "podman" => {
                return (has(&["-"]) && has(&["secret"])).then_some(Part::Whole);
            }
            "sudo" | "doas" | "env" | "exec" | "command" | "nohup" | "time" | "timeout"
            | "nice" | "busybox" | "then" | "do" | "if" | "!" | "{" => {}
            _ if word.starts_with('-') || word.contains('=') => {}
            // `sudo -u NAME`
            _ if at > 0 && words[at - 1].starts_with('-') => {}
            _ if word.bytes().all(|byte| byte.is_ascii_digit() || b"smh.".contains(&byte)) => {}
            _ => return None,
        }
    }
    None
}

/// Whether a program reads code or a command line from an argument: a shell, an interpreter, what
/// runs a line elsewhere.
pub fn runs_text(word: &str) -> bool {
    let name = base_name(word);
    matches!(
        name,
        "sh" | "bash"
            | "dash"
            | "ash"
            | "zsh"
            | "ksh"
            | "mksh"
            | "fish"
            | "busybox"
            | "su"
            | "runuser"
            | "perl"
            | "ruby"
            | "node"
            | "nodejs"
            | "php"
            | "lua"
            | "pwsh"
            | "tclsh"
            | "sed"
            | "eval"
            | "watch"
            | "ssh"
            | "script"
            | "chroot"
            | "nsenter"
            | "trap"
            | "parallel"
            | "xargs"
            | "deno"
            | "bun"
            | "jshell"
            | "expect"
    ) || name.starts_with("python")
}

/// Whether a program looks in a text for what it is told.
pub fn looks_for(word: &str) -> bool {
    matches!(
        base_name(word),
        "grep"
            | "egrep"
            | "fgrep"
            | "zgrep"
            | "rg"
            | "ag"
            | "ack"
            | "jq"
            | "yq"
            | "awk"
            | "gawk"
            | "mawk"
    )
}
