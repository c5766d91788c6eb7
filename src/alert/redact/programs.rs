//! Where well-known programs take a secret: `mysql -pX`, `curl -u user:X`, `htpasswd -b f u X`.
//!
//! Owns the table of their options and operands, and who reads a secret from its standard input.
//! What an option's name tells by itself (`--password`) is for `names`.

use std::ops::Range;

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

struct Option_ {
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
) -> Option_ {
    Option_ { programs, commands: &[], option, at, part }
}

const REGISTRIES: &[&str] = &[
    "docker", "podman", "nerdctl", "helm", "crane", "oras", "skopeo", "buildah", "regctl", "az",
    "oc", "cosign",
];
const LOGIN: &[&str] = &["login", "auth"];
const HTTP: &[&str] = &["curl", "http", "https", "xh", "xhs", "httpie"];
const SAMBA: &[&str] = &["smbclient", "smbget", "rpcclient", "net", "mount.cifs", "smbmap"];
const COPY: &[&str] = &["skopeo", "podman", "buildah", "ctr", "crictl"];

const OPTIONS: [Option_; 57] = [
    option(
        &["mysql*", "mariadb*", "percona*", "xtrabackup", "mytop"],
        "-p",
        At::Glued,
        Part::Whole,
    ),
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
    option(&["curl"], "-b", At::Both, Part::Cookie),
    option(&["curl"], "--cookie", At::Next, Part::Cookie),
    option(HTTP, "-a", At::Both, Part::After(b':')),
    option(HTTP, "--auth", At::Next, Part::After(b':')),
    Option_ {
        programs: REGISTRIES,
        commands: LOGIN,
        option: "-p",
        at: At::Both,
        part: Part::Whole,
    },
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
    option(&["gpg*"], "--passphrase", At::Next, Part::Whole),
    option(&["clickhouse*"], "--password", At::Next, Part::Whole),
    option(&["elasticsearch*", "opensearch*"], "-p", At::Next, Part::Whole),
    option(&["npm", "yarn", "pnpm"], "--otp", At::Next, Part::Whole),
    option(&["rclone"], "--sftp-pass", At::Next, Part::Whole),
    option(&["mc"], "--secret", At::Next, Part::Whole),
    option(&["wpa_cli", "nmcli"], "password", At::Next, Part::Whole),
    option(&["nmcli"], "wifi-sec.psk", At::Next, Part::Whole),
    option(&["gcloud", "argocd"], "--password", At::Next, Part::Whole),
    option(&["keytool", "jarsigner"], "-storepass", At::Next, Part::Whole),
];

/// A secret at a word: its index, the bytes of the word, and what of them.
pub type Place = (usize, Range<usize>, Part);

/// The secrets that the words hold because of the program which they are for.
pub fn places(words: &[&str]) -> Vec<Place> {
    let mut out = Vec::new();
    let mut options: Vec<&Option_> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).map(|next| (at + 1, 0..next.len()));
        for option in &options {
            if !option.commands.is_empty()
                && !words[..at].iter().any(|word| option.commands.contains(word))
            {
                continue;
            }
            if let Some((index, range)) = value_of(option, word, at, next.clone()) {
                out.push((index, range, option.part));
            }
        }
        let name = base_name(word);
        let of_name = || OPTIONS.iter().filter(|option| is_of(option.programs, name));
        if is_program_word(word) && options.len() < 4 * OPTIONS.len() {
            let new = of_name().filter(|new| !options.iter().any(|old| std::ptr::eq(*old, *new)));
            let new: Vec<&Option_> = new.collect();
            options.extend(new);
            operands(name, words, at, &mut out);
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

fn is_program_word(word: &str) -> bool {
    word.len() <= 256 && !word.starts_with('-') && !word.contains(['=', ' '])
}

fn value_of(
    option: &Option_,
    word: &str,
    at: usize,
    next: Option<(usize, Range<usize>)>,
) -> Option<(usize, Range<usize>)> {
    let rest = match word.strip_prefix(option.option) {
        Some(rest) => rest,
        // `curl -su user:password`: letters in one word, of which the last takes a value.
        None if option.programs == ["curl"] && is_cluster(word, option.option) => "",
        None => return None,
    };
    let long = option.option.starts_with("--") || option.at == At::Next;
    match (option.at, rest) {
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

/// Secrets that no option names. `at` is the word of the program.
fn operands(name: &str, words: &[&str], at: usize, out: &mut Vec<Place>) {
    let rest = || (at + 1..words.len()).filter(|index| !words[*index].starts_with('-'));
    let mut whole = |index: Option<usize>| {
        if let Some((index, word)) = index.and_then(|at| Some((at, words.get(at)?))) {
            out.push((index, 0..word.len(), Part::Whole));
        }
    };
    let first = |what: &str| rest().next().filter(|index| words[*index].eq_ignore_ascii_case(what));
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
            if let Some(login) = first("login") {
                whole(rest().find(|index| *index > login && !words[*index].contains('=')));
            }
            let writes = rest()
                .take(2)
                .any(|index| matches!(words[index], "write" | "put" | "patch" | "login"));
            if writes {
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
        "redis-cli" | "valkey-cli" => {
            if let Some(auth) = rest().find(|index| words[*index].eq_ignore_ascii_case("auth")) {
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
        _ => {}
    }
}

/// What of its standard input a command takes for a secret.
pub fn reads_secret(words: &[&str]) -> Option<Part> {
    for (at, word) in words.iter().enumerate() {
        let has = |options: &[&str]| words[at + 1..].iter().any(|word| options.contains(word));
        match base_name(word) {
            "chpasswd" => return Some(Part::After(b':')),
            "passwd" | "kinit" | "cryptsetup" | "smbpasswd" | "vncpasswd" | "su" => {
                return Some(Part::Whole);
            }
            "sudo"
                if has(&["-S", "--stdin"])
                    || words[at + 1..].iter().take(2).any(|word| {
                        word.starts_with('-') && !word.starts_with("--") && word.contains('S')
                    }) =>
            {
                return Some(Part::Whole);
            }
            "htpasswd"
                if words[at + 1..]
                    .iter()
                    .any(|word| word.starts_with('-') && word.contains('i')) =>
            {
                return Some(Part::Whole);
            }
            "openssl" if has(&["stdin", "fd:0", "-stdin"]) => return Some(Part::Whole),
            "vault" if has(&["-"]) && has(&["login"]) => return Some(Part::Whole),
            "docker" | "podman" if has(&["secret"]) && has(&["-"]) => return Some(Part::Whole),
            _ => {}
        }
        let options = ["--password-stdin", "--passphrase-fd", "--with-token", "--pass-stdin"];
        if options.iter().any(|option| word.starts_with(option)) {
            return Some(Part::Whole);
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
            | "awk"
            | "gawk"
            | "mawk"
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
