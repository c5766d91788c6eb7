//! `find` and its like: where they look, for which names, and what they run on what they find.

use crate::audit::shell::reading::Reach;
use crate::audit::shell::text::Text;

use super::operands::{Kind, Words};
use super::options::{Arg, Scan, Unit, is, started_from, units};
use super::table::Class;
use super::{Inner, MADE_MAX_BYTES, Operand, Program, Wrapper, WrapperInput, base_name, known_as};

/// Most combinations of roots and names that are told.
const COMBINATIONS_MAX: usize = 256;
/// How many directories deep a `*` in front of a path pattern is taken to reach.
const STARS_MAX: usize = 3;
/// Most commands (`-exec`) of one search that are compared.
const COMMANDS_MAX: usize = 16;

/// What a test says of the files found: a directory below the root, if any, and a name.
struct Sought {
    /// Seen from the root of the search; absolute when the pattern is.
    directory: Option<Text>,
    name: Option<Text>,
}

pub(super) fn find<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut at = 1;
    while let Some(word) = words.get(at) {
        match word.as_str() {
            "-H" | "-L" | "-P" | "-X" | "-x" | "-E" => at += 1,
            "-D" => at += 2,
            option if option.starts_with("-O") => at += 1,
            _ => break,
        }
    }
    let roots_start = at;
    while words.get(at).is_some_and(|word| !starts_expression(word)) {
        at += 1;
    }
    let roots = words.get(roots_start..at).unwrap_or(&[]);
    let mut expression = Expression::default();
    expression.read(words.get(at..).unwrap_or(&[]), &mut outer.operands);
    let reach = match (&expression.command, expression.depth) {
        (Some(argv), _) if opens(argv) => Reach::Walked,
        (_, Some(0 | 1)) => Reach::Listed,
        _ => Reach::Searched,
    };
    let here = [Text::literal(".")];
    let roots = if roots.is_empty() { &here[..] } else { roots };
    add_operands(roots, &expression.sought, reach, &mut outer.operands);
    match expression.command {
        Some([]) | None => Inner::Nothing,
        Some(argv) => {
            outer.input = WrapperInput::Found;
            Inner::Words(argv)
        }
    }
}

fn starts_expression(word: &Text) -> bool {
    let text = word.as_str();
    text.len() > 1 && text.starts_with('-') || matches!(text, "(" | ")" | "!" | ",")
}

/// What follows the roots.
#[derive(Default)]
struct Expression<'a> {
    sought: Vec<Sought>,
    command: Option<&'a [Text]>,
    commands: usize,
    depth: Option<usize>,
    group: Group,
}

/// A pair of parentheses, or the whole expression: alternatives that `-o` divides.
#[derive(Default, Clone, Copy)]
struct Group {
    /// How many names were sought when the group began, its present alternative, and the last
    /// test or group in it.
    start: usize,
    alternative: usize,
    test: usize,
    /// The present alternative finds nothing itself.
    pruned: bool,
    /// An alternative finds files of any name.
    open: bool,
}

impl<'a> Expression<'a> {
    fn read(&mut self, words: &'a [Text], operands: &mut Vec<Operand>) {
        let mut groups = Vec::new();
        let mut at = 0;
        let mut negated = false;
        while let Some(word) = words.get(at) {
            at += 1;
            match word.as_str() {
                "!" | "-not" => {
                    negated = !negated;
                    continue;
                }
                "(" => {
                    groups.push((self.group, negated));
                    let start = self.sought.len();
                    self.group = Group { start, alternative: start, test: start, ..self.group };
                    self.group.open = false;
                    self.group.pruned = false;
                }
                ")" => {
                    self.end_alternative();
                    let ended = self.group;
                    let (group, negated) = groups.pop().unwrap_or_default();
                    self.group = Group { test: ended.start, ..group };
                    if ended.open || negated {
                        self.sought.truncate(ended.start);
                    }
                }
                "-o" | "-or" | "," => self.end_alternative(),
                "-prune" => {
                    self.sought.truncate(self.group.test);
                    self.group.pruned = true;
                }
                test => {
                    if !matches!(test, "-a" | "-and") {
                        self.group.test = self.sought.len();
                    }
                    at += self.test(test, words.get(at..).unwrap_or(&[]), negated, operands);
                }
            }
            negated = false;
        }
        self.end_alternative();
        if self.group.open {
            self.sought.clear();
        }
    }

    fn end_alternative(&mut self) {
        let group = &mut self.group;
        group.open |= self.sought.len() <= group.alternative && !group.pruned;
        group.alternative = self.sought.len();
        group.pruned = false;
    }

    /// How many of the words behind it belong to the test.
    fn test(
        &mut self,
        test: &str,
        rest: &'a [Text],
        negated: bool,
        operands: &mut Vec<Operand>,
    ) -> usize {
        let value = rest.first();
        match test {
            "-name" | "-iname" | "-lname" | "-ilname" => {
                if let (false, Some(value)) = (negated, value) {
                    let name = cased(test, value).activated();
                    self.seek(Sought { directory: None, name: Some(name) });
                }
                1
            }
            "-path" | "-ipath" | "-wholename" | "-iwholename" => {
                if let (false, Some(value)) = (negated, value) {
                    self.seek_path(&cased(test, value).activated());
                }
                1
            }
            "-regex" | "-iregex" => {
                if let (false, Some(value)) = (negated, value) {
                    self.seek_path(&from_regex(&cased(test, value)));
                }
                1
            }
            "-exec" | "-execdir" | "-ok" | "-okdir" => {
                let mut after_braces = false;
                let end = rest.iter().position(|word| {
                    let text = word.as_str();
                    let ends = text == ";" || after_braces && text == "+";
                    after_braces = text == "{}";
                    ends
                });
                let end = end.unwrap_or(rest.len());
                self.runs(rest.get(..end).unwrap_or(rest));
                end + 1
            }
            "-maxdepth" => {
                self.depth = value.and_then(|value| value.as_str().parse().ok());
                1
            }
            "-fprintf" => {
                operands.extend(value.cloned().map(Operand::named));
                2
            }
            "-anewer" | "-cnewer" | "-samefile" | "-fprint" | "-fprint0" | "-fls"
            | "-files0-from" => {
                operands.extend(value.cloned().map(Operand::named));
                1
            }
            _ if test.starts_with("-newer") => {
                operands.extend(value.cloned().map(Operand::named));
                1
            }
            "-amin" | "-atime" | "-cmin" | "-context" | "-ctime" | "-fstype" | "-gid"
            | "-group" | "-inum" | "-links" | "-mindepth" | "-mmin" | "-mtime" | "-perm"
            | "-size" | "-type" | "-uid" | "-used" | "-user" | "-xtype" | "-printf"
            | "-regextype" => 1,
            _ => 0,
        }
    }

    fn seek(&mut self, sought: Sought) {
        if self.sought.len() < COMBINATIONS_MAX {
            self.sought.push(sought);
        }
    }

    /// A pattern for whole paths, in which `*` reaches over slashes.
    fn seek_path(&mut self, pattern: &Text) {
        let text = pattern.as_str();
        let Some(slash) = text.rfind('/') else {
            return self.seek(Sought { directory: None, name: Some(pattern.clone()) });
        };
        let name = pattern.slice(slash + 1, text.len());
        // `/etc*shadow` finds `/etc/shadow`: the star may hold the slash.
        if let Some(star) = name.as_str().rfind('*').filter(|star| *star > 0)
            && star + 1 < name.len()
        {
            let tail = name.slice(star, name.len());
            self.seek(Sought { directory: None, name: Some(tail) });
        }
        let name = (name.as_str() != "*").then_some(name);
        let directory = pattern.slice(0, slash);
        match directory.as_str() {
            "" if slash == 0 => self.seek(Sought { directory: Some("/".into()), name }),
            "*" | "." => self.seek(Sought { directory: None, name }),
            text if text.starts_with('*') && directory.has_active() => {
                // What is behind the star, at the root of the search and some levels below.
                let tail = text.get(1..).unwrap_or("");
                let skip = 1 + tail.len() - tail.trim_start_matches('/').len();
                for stars in 0..STARS_MAX {
                    let mut deeper = Text::new();
                    for _ in 0..stars {
                        deeper.push_active('*');
                        deeper.push('/');
                    }
                    deeper.append(&directory.slice(skip, directory.len()));
                    self.seek(Sought { directory: Some(deeper), name: name.clone() });
                }
            }
            _ => self.seek(Sought { directory: Some(directory), name }),
        }
    }

    /// Of several commands the one that opens what is found counts, a shell most of all.
    fn runs(&mut self, argv: &'a [Text]) {
        self.commands += 1;
        if self.commands > COMMANDS_MAX {
            return;
        }
        let class = |argv: &[Text]| argv.first().map(|name| known_as(name).class);
        let rank = |argv: &[Text]| match class(argv) {
            None => 0,
            Some(Class::Shell) => 3,
            Some(_) if opens(argv) => 2,
            Some(_) => 1,
        };
        if self.command.is_none_or(|before| rank(before) < rank(argv)) {
            self.command = Some(argv);
        }
    }
}

/// Whether the command reads the files it is given.
fn opens(argv: &[Text]) -> bool {
    let Some(first) = argv.first() else { return false };
    match known_as(first).class {
        Class::Files(Kind { words: Words::Nothing, .. }, _) => false,
        Class::Files(kind, _) => !matches!(kind.reach, Reach::Listed | Reach::Searched),
        Class::Special(_) => {
            !matches!(base_name(first.as_str()), "echo" | "printf" | "print" | "test" | "[")
        }
        _ => true,
    }
}

fn add_operands(roots: &[Text], sought: &[Sought], reach: Reach, operands: &mut Vec<Operand>) {
    if sought.is_empty() {
        operands.extend(roots.iter().map(|root| Operand::new(root.clone(), reach)));
        return;
    }
    let sought_bytes = sought.iter().map(|sought| {
        let length = |text: &Option<Text>| text.as_ref().map_or(0, Text::len);
        length(&sought.directory) + length(&sought.name)
    });
    let sought_bytes = sought_bytes.sum::<usize>();
    let mut made = 0;
    for (told, root) in roots.iter().enumerate() {
        made += sought_bytes + root.len() * sought.len();
        if told * sought.len() > COMBINATIONS_MAX || made > MADE_MAX_BYTES {
            // Too many to tell each name with each root: the roots alone are told.
            operands.push(Operand::new(root.clone(), reach));
            continue;
        }
        for Sought { directory, name } in sought {
            let path = match directory {
                None => root.clone(),
                Some(directory) => from_root(root, directory),
            };
            operands.push(Operand { path, reach, name: name.clone() });
        }
    }
}

/// The directory of a path pattern, which starts as the root is written.
fn from_root(root: &Text, directory: &Text) -> Text {
    let text = directory.as_str();
    let literal = text.starts_with('/') || text == "." || text.starts_with("./");
    if literal || !root.as_str().starts_with('/') && text.starts_with(root.as_str()) {
        return directory.clone();
    }
    let mut path = root.clone();
    if directory.is_empty() {
        return path;
    }
    if !root.as_str().ends_with('/') {
        path.push('/');
    }
    path.append(directory);
    path
}

/// A glob that matches what the regular expression does, or more.
fn from_regex(regex: &Text) -> Text {
    const ANY: Unit = Unit::Active('*');
    const ONE: Unit = Unit::Active('?');
    let mut glob = started_from(regex);
    let mut places = units(regex).peekable();
    while let Some(unit) = places.next() {
        let atom = match unit {
            Unit::Hole => Unit::Hole,
            Unit::Plain('^' | '$') | Unit::Active('^' | '$') => continue,
            Unit::Plain('\\') => match places.next() {
                Some(Unit::Plain(c)) if !"()|{}<>wWbB".contains(c) => Unit::Plain(c),
                _ => ANY,
            },
            Unit::Plain('.') => ONE,
            Unit::Plain('[') | Unit::Active('[') => {
                // The first character of a set may be a bracket itself.
                places.next_if(|unit| matches!(unit, Unit::Plain('^') | Unit::Active('^')));
                places.next();
                skip_past(&mut places, ']');
                ONE
            }
            // What alternatives hold is left open.
            Unit::Plain('(') => {
                skip_past(&mut places, ')');
                ANY
            }
            Unit::Plain(')' | '|' | '{' | '}') => ANY,
            Unit::Plain(other) | Unit::Active(other) => Unit::Plain(other),
        };
        let repeated = |unit: &Unit| {
            matches!(unit, Unit::Plain('*' | '+' | '?') | Unit::Active('*' | '+' | '?'))
        };
        let repeated = places.next_if(repeated).is_some();
        if repeated { ANY } else { atom }.push_to(&mut glob);
    }
    glob
}

fn skip_past(places: &mut impl Iterator<Item = Unit>, end: char) {
    places.find(|unit| matches!(unit, Unit::Plain(c) | Unit::Active(c) if *c == end));
}

/// `fd PATTERN [PATH…]`
pub(super) fn fd<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let (mut pattern, mut roots, mut glob) = (None, Vec::new(), false);
    let mut command = None;
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) if pattern.is_none() => pattern = Some(word),
            Arg::Operand(word) => roots.push(word.clone()),
            _ if is(arg, "x exec X exec-batch") => {
                command = Some(scan.rest());
                break;
            }
            _ if is(arg, "g glob") => glob = true,
            _ if is(arg, "search-path base-directory") => roots.extend(scan.value()),
            _ if is(
                arg,
                "e extension E exclude t type d max-depth max-results S size o owner j threads c color \
                 changed-within changed-before min-depth exact-depth ignore-file",
            ) =>
            {
                scan.skip_value();
            }
            _ => {}
        }
    }
    let name = pattern.map(|pattern| if glob { pattern.activated() } else { anywhere(pattern) });
    let sought = [Sought { directory: None, name }];
    let reach = if command.is_some_and(opens) { Reach::Walked } else { Reach::Searched };
    let roots = if roots.is_empty() { vec![Text::literal(".")] } else { roots };
    add_operands(&roots, &sought, reach, &mut outer.operands);
    match command {
        Some([]) | None => Inner::Nothing,
        Some(argv) => {
            outer.input = WrapperInput::Found;
            Inner::Words(argv)
        }
    }
}

/// A regular expression that may match anywhere within a name.
fn anywhere(regex: &Text) -> Text {
    let mut glob = Text::new();
    if !regex.as_str().starts_with('^') {
        glob.push_active('*');
    }
    glob.append(&from_regex(regex));
    if !regex.as_str().ends_with('$') {
        glob.push_active('*');
    }
    glob
}

/// `locate PATTERN…`: names on the whole system.
pub(super) fn locate(words: &[Text]) -> Program {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let mut operands = Vec::new();
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(pattern) if operands.len() < COMBINATIONS_MAX => {
                let pattern = pattern.activated();
                let text = pattern.as_str();
                let start = text.rfind('/').map_or(0, |slash| slash + 1);
                let mut name = Text::new();
                let bare = !pattern.has_active();
                if bare && start == 0 {
                    name.push_active('*');
                }
                name.append(&pattern.slice(start, text.len()));
                if bare {
                    name.push_active('*');
                }
                let mut path = Text::literal("/");
                if start > 1 && text.starts_with('/') {
                    path = pattern.slice(0, start - 1);
                }
                operands.push(Operand { path, reach: Reach::Searched, name: Some(name) });
            }
            _ if is(arg, "d database n limit l") => scan.skip_value(),
            _ => {}
        }
    }
    Program::files(operands)
}

/// What `-iname` and the like look for: names are small letters as a rule, so those stand for
/// either.
fn cased(test: &str, value: &Text) -> Text {
    match value.as_literal() {
        Some(text) if test.starts_with("-i") => {
            Text::literal(text.to_lowercase()).with_steps(value.steps)
        }
        _ => value.clone(),
    }
}
