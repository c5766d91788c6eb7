//! Ways to name a file of the tree: directories, dots, links, patterns.

use super::script::{Dialect, Generator};
use super::spell::Place;
use super::tree::SCRATCH;

impl Generator<'_> {
    /// A word that leads to the file from where the script is then.
    pub fn path(&mut self, file: &str, place: Place) -> String {
        let whole = format!("{}/{file}", self.root);
        if self.fuel == 0 {
            return whole;
        }
        match self.choices.below(16) {
            1 => {
                let dotted = self.dotted(file);
                self.word(&dotted, place)
            }
            2 | 3 => self.by_directory(file, place),
            4 if place != Place::Quoted => self.by_home(file, place),
            5 => self.by_working_directory(file, place),
            6 => self.linked(file, place),
            7..=9 if place == Place::Command => self.pattern_of(file),
            10 => {
                let prefix = self.choices.pick(&[
                    "/proc/self/root",
                    "/proc/$$/root",
                    "/proc/self/task/../root",
                    "/proc/thread-self/root",
                    "//",
                    "/proc/../",
                ]);
                if prefix.contains("task") {
                    return format!("/proc/self/task/../root{whole}");
                }
                format!("{prefix}{}", self.word(&whole, place))
            }
            11 if place == Place::Command && self.is(Dialect::Bash) => self.braced_path(file),
            _ => self.word(&whole, place),
        }
    }

    /// The absolute path with dots and slashes that change nothing.
    fn dotted(&mut self, file: &str) -> String {
        let mut out = self.root.clone();
        for part in file.split('/') {
            match self.choices.below(6) {
                1 => out.push_str("/."),
                2 => out.push('/'),
                3 => {
                    let leaf = out.rsplit('/').next().unwrap_or_default().to_owned();
                    out.push_str(&format!("/../{leaf}"));
                }
                4 if out == self.root => out.push_str("/app/data/../.."),
                5 if out == self.root => out = format!("/../..{out}"),
                _ => {}
            }
            out.push('/');
            out.push_str(part);
        }
        out
    }

    /// Relative to the working directory, after a change of it.
    fn by_directory(&mut self, file: &str, place: Place) -> String {
        if let Some(directory) = self.directory.clone()
            && self.choices.chance(40)
        {
            let relative = relative(&directory, file);
            return self.word(&relative, place);
        }
        let parts: Vec<&str> = file.split('/').collect();
        let at = self.choices.below(parts.len());
        let below = parts[..at].join("/");
        let absolute = format!("{}/{below}", self.root);
        let absolute = absolute.trim_end_matches('/').to_owned();
        let there = self.word(&absolute, Place::Single);
        let kind = self.choices.below(9);
        self.moves += usize::from(kind > 0);
        self.moved();
        let statements = match kind {
            1 => format!("cd {there} && :"),
            2 => format!("cd /; cd {there}"),
            3 => format!("cd {}/app/data; cd {}", self.root, relative("app/data", &below)),
            4 => format!("cd {there}; cd /; cd - >/dev/null"),
            5 => format!("cd {there}; cd /; cd \"$OLDPWD\""),
            6 if self.is(Dialect::Bash) => format!("pushd {there} >/dev/null"),
            7 if self.is(Dialect::Bash) => {
                format!("pushd {there} >/dev/null; pushd / >/dev/null; popd >/dev/null")
            }
            8 if at > 0 => {
                let up = parts[..at - 1].join("/");
                let up = format!("{}/{up}", self.root);
                format!("CDPATH={}; cd {} >/dev/null", up.trim_end_matches('/'), parts[at - 1])
            }
            _ => format!("cd {there}"),
        };
        self.before.push(statements);
        self.directory = Some(below);
        let rest = parts[at..].join("/");
        let rest = if self.choices.chance(25) { format!("./{rest}") } else { rest };
        self.word(&rest, place)
    }

    /// The working directory changes. A change may fail, so that after a second one there are two
    /// places where the script may be.
    pub fn moved(&mut self) {
        self.moves += 1;
        self.pure &= self.moves < 2;
    }

    fn by_home(&mut self, file: &str, place: Place) -> String {
        let rest = file.strip_prefix("root/");
        let (home, rest) = match rest {
            Some(rest) if self.choices.chance(50) => (format!("{}/root", self.root), rest),
            _ => (self.root.clone(), file),
        };
        self.before.push(format!("HOME={home}"));
        let rest = self.word(rest, place);
        match self.choices.below(5) {
            1 => format!("$HOME/{rest}"),
            2 => format!("\"${{HOME}}\"/{rest}"),
            3 => {
                self.moved();
                self.before.push("cd".to_owned());
                self.directory = Some(if home == self.root { "" } else { "root" }.to_owned());
                rest
            }
            4 => {
                let name = self.name();
                self.before.push(format!("{name}=~"));
                format!("${name}/{rest}")
            }
            _ => format!("~/{rest}"),
        }
    }

    fn by_working_directory(&mut self, file: &str, place: Place) -> String {
        let Some((directory, rest)) = file.split_once('/') else { return file.to_owned() };
        self.moved();
        self.before.push(format!("cd {}/{directory}", self.root));
        let rest = self.word(rest, place);
        let named = match self.choices.below(7) {
            1 if place != Place::Quoted => format!("\"$PWD\"/{rest}"),
            2 if place != Place::Quoted => format!("$(pwd)/{rest}"),
            3 => {
                self.before.push("cd /".to_owned());
                self.directory = None;
                return format!("$OLDPWD/{rest}");
            }
            4 if place != Place::Quoted && self.is(Dialect::Bash) => format!("~+/{rest}"),
            5 if place != Place::Quoted && self.is(Dialect::Bash) => {
                self.before.push("cd /".to_owned());
                self.directory = None;
                return format!("~-/{rest}");
            }
            6 => format!("/proc/self/cwd/{rest}"),
            _ => format!("$PWD/{rest}"),
        };
        self.directory = Some(directory.to_owned());
        named
    }

    /// Through a link that the script makes.
    fn linked(&mut self, file: &str, place: Place) -> String {
        // A link is told as a name of what it leads to, even where nothing goes through it.
        self.pure = false;
        let link = self.scratch();
        let (directory, rest) = file.split_once('/').unwrap_or(("", file));
        match self.choices.below(3) {
            1 => {
                self.before.push(format!("ln -s {}/{file} {link}", self.root));
                self.word(&link, place)
            }
            2 => {
                self.moved();
                let short = link.rsplit('/').next().unwrap_or_default();
                self.before
                    .push(format!("cd {}/{SCRATCH}; ln -sf ../{directory} {short}", self.root));
                self.directory = Some(SCRATCH.to_owned());
                let through = format!("{short}/{rest}");
                self.word(&through, place)
            }
            _ => {
                self.before.push(format!("ln -s {}/{directory} {link}", self.root));
                let through = format!("{link}/{rest}");
                self.word(&through, place)
            }
        }
    }

    /// A pattern that matches the file, and others perhaps.
    fn pattern_of(&mut self, file: &str) -> String {
        let parts: Vec<&str> = file.split('/').collect();
        let at = self.choices.below(parts.len() + 1);
        let mut pattern = String::new();
        for (index, part) in parts.iter().enumerate() {
            pattern.push('/');
            if index == at || at == parts.len() {
                pattern.push_str(&self.pattern_of_name(part));
            } else {
                pattern.push_str(part);
            }
        }
        let root = self.root.clone();
        match self.choices.below(4) {
            1 => {
                let name = self.name();
                self.before.push(format!("{name}='{root}{pattern}'"));
                format!("${name}")
            }
            2 => {
                let name = self.name();
                let root = self.word(&root, Place::Single);
                self.before.push(format!("{name}={root}; {name}=${name}'{pattern}'"));
                format!("${{{name}}}")
            }
            _ => format!("{}{pattern}", self.word(&root, Place::Single)),
        }
    }

    fn pattern_of_name(&mut self, name: &str) -> String {
        let dot = name.starts_with('.');
        let (mut out, rest) =
            if dot { (".".to_owned(), &name[1..]) } else { (String::new(), name) };
        let extended = self.extended && self.choices.chance(30);
        if extended {
            let at = self.choices.below(rest.len());
            let (first, second) = rest.split_at(at);
            out.push_str(&match self.choices.below(5) {
                1 => format!("{first}+({second}|zz)"),
                2 => format!("{first}?({second})"),
                3 => format!("{first}!(zz*)"),
                4 => format!("*({first}){second}"),
                _ => format!("{first}@({second}|zz)"),
            });
            return out;
        }
        let star = self.choices.below(rest.len());
        for (index, character) in rest.chars().enumerate() {
            if index == star && self.choices.chance(50) {
                out.push('*');
                if self.choices.chance(50) {
                    continue;
                }
                if self.choices.chance(60) {
                    return out;
                }
            }
            let letter = character.is_ascii_lowercase();
            match self.choices.below(12) {
                1 => out.push('?'),
                2 => out.push_str(&format!("[{character}]")),
                3 => out.push_str("[!Z]"),
                4 if letter => out.push_str("[a-z]"),
                5 if letter => out.push_str("[[:lower:]]"),
                6 => out.push_str(&format!("[{character}Z]")),
                7 if character.is_ascii_digit() => out.push_str("[0-9]"),
                8 => out.push_str(&format!("\\{character}")),
                9 => out.push_str(&format!("'{character}'")),
                _ => out.push(character),
            }
        }
        out
    }

    /// Braces that name other files beside the one.
    fn braced_path(&mut self, file: &str) -> String {
        let other = self.file();
        let root = self.root.clone();
        match self.choices.below(3) {
            1 => format!("{{{root}/{file},{root}/{other}}}"),
            2 => format!("{root}/{{app/f{{1..2}},{file}}}"),
            _ => format!("{}/{{{other},{file}}}", self.word(&root, Place::Single)),
        }
    }
}

/// From one directory of the tree to what is at another place in it.
pub fn relative(from: &str, to: &str) -> String {
    let up = from.split('/').filter(|part| !part.is_empty()).count();
    let path = format!("{}{to}", "../".repeat(up));
    if path.is_empty() { ".".to_owned() } else { path }
}
