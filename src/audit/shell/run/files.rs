//! The files and links that a script makes itself, and the redirections that open them.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::super::ast::{Redirect, RedirectKind};
use super::super::expand;
use super::super::filters;
use super::super::path;
use super::super::programs;
use super::super::reading::{HiddenWhy, Reach};
use super::super::text::{Step, Stream, Text};
use super::Interpreter;
use super::descriptors::Descriptors;

/// What is known of the file system: only what the script put there.
#[derive(Debug)]
pub struct Files<'a> {
    /// The command as written.
    argv: &'a [String],
    contents: BTreeMap<String, Stream>,
    /// What the files are called without their directories.
    names: BTreeSet<String>,
    /// A path, and where it leads.
    links: Vec<(String, Text)>,
    unnamed: usize,
    changes: usize,
    /// The command asks for the mount that every pod has, so what is mounted matters.
    /// Found once it is asked for.
    tells_mounts: OnceCell<bool>,
    /// Paths that were given to a program that may write there.
    may_be_written: Vec<String>,
}

/// Where a descriptor that a redirection opened for writing leads.
enum Output {
    Pipe,
    File { key: String, append: bool },
    Elsewhere,
}

/// The files that `exec` has opened for writing, for what is yet to come.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Where the standard output goes.
    standard: Option<String>,
    pub descriptors: Descriptors<String>,
}

/// What is written there is gone.
const NULL: &str = "/dev/null";
impl Outputs {
    /// Whether `exec` has turned the standard output to a file.
    pub fn is_redirected(&self) -> bool {
        self.standard.is_some()
    }
}

/// The most links that are followed from one path.
const LINKS_FOLLOWED_MAX: usize = 8;
/// The most paths that are kept of those that may be written, and the longest.
const WRITTEN_MAX: usize = 1_024;
const NAME_MAX_BYTES: usize = 4096;
/// The most directories of `PATH` in which a program is looked for.
const DIRECTORIES_MAX: usize = 256;
/// The most descriptors that are kept.
const DESCRIPTORS_MAX: usize = 64;
/// The most links that are kept.
const LINKS_MAX: usize = 256;

impl<'a> Files<'a> {
    pub fn new(argv: &'a [String]) -> Files<'a> {
        Files {
            argv,
            contents: BTreeMap::new(),
            names: BTreeSet::new(),
            links: Vec::new(),
            unnamed: 0,
            changes: 0,
            tells_mounts: OnceCell::new(),
            may_be_written: Vec::new(),
        }
    }

    fn tells_mounts(&self) -> bool {
        let told = |word: &String| word.contains("serviceacc") || word.contains("kubernetes.io");
        *self.tells_mounts.get_or_init(|| self.argv.iter().any(told))
    }

    pub fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.contents.is_empty()
    }

    pub fn get(&self, key: &str) -> Option<&Stream> {
        self.contents.get(key)
    }

    pub fn insert(&mut self, key: String, content: Stream) {
        let same = |earlier: &Stream| match (earlier.as_bytes(), content.as_bytes()) {
            (Some(earlier), Some(content)) => earlier == content,
            (None, None) => true,
            _ => false,
        };
        if !self.contents.get(&key).is_some_and(same) {
            self.changes += 1;
        }
        self.names.insert(programs::base_name(&key).to_owned());
        self.contents.insert(key, content);
    }

    /// False when there are too many to keep one more.
    pub fn link(&mut self, key: String, target: Text) -> bool {
        if self.links.iter().any(|(from, to)| *from == key && *to == target) {
            return true;
        }
        let kept = self.links.len() < LINKS_MAX;
        if kept {
            self.changes += 1;
            self.links.push((key, target));
        }
        kept
    }

    /// How often anything became other than it was.
    pub fn changes(&self) -> usize {
        self.changes
    }

    /// False when there are too many to keep one more.
    fn may_write(&mut self, key: &str) -> bool {
        if self.is_written(key) {
            return true;
        }
        let kept = self.may_be_written.len() < WRITTEN_MAX;
        if kept {
            self.may_be_written.push(key.to_owned());
        }
        kept
    }

    fn is_written(&self, key: &str) -> bool {
        self.may_be_written.iter().any(|written| written == key)
    }

    /// A path for a file without a name, as process substitution makes it.
    pub fn unnamed(&mut self, content: Stream) -> Text {
        self.unnamed += 1;
        let key = format!("/dev/fd/{}", 1000 + self.unnamed);
        self.contents.insert(key.clone(), content);
        Text::literal(key)
    }

    /// A name for a file that a program makes up.
    pub fn unnamed_in(&mut self, prefix: &str) -> String {
        self.unnamed += 1;
        format!("{prefix}{}", 1000 + self.unnamed)
    }

    /// The contents of the files in a directory, in the order of their names.
    fn within(&self, directory: &str) -> Vec<Stream> {
        let prefix = format!("{}/", directory.trim_end_matches('/'));
        let mut found: Vec<(&String, &Stream)> =
            self.contents.iter().filter(|(path, _)| path.starts_with(&prefix)).collect();
        found.sort_unstable_by_key(|(path, _)| *path);
        found.into_iter().map(|(_, content)| with_step(content.clone(), Step::OwnFile)).collect()
    }

    /// What a file holds; unknown unless the script wrote it.
    pub fn content(
        &self,
        path: &Text,
        directory: &Text,
        input: &Stream,
        descriptors: &Descriptors<Stream>,
    ) -> Stream {
        if let Some(descriptor) = descriptor(path.as_str()) {
            return match descriptor {
                0 => input.clone(),
                other => descriptors.get(other).cloned().unwrap_or(Stream::UNKNOWN),
            };
        }
        if is_mount_table(path.as_str()) && self.tells_mounts() {
            return mount_table("tmpfs ", " tmpfs ro,relatime 0 0");
        }
        if self.contents.is_empty() {
            return Stream::UNKNOWN;
        }
        let resolved = path::clean(&path::join(directory, path));
        let content = resolved.as_literal().and_then(|key| self.contents.get(key));
        match content {
            Some(content) => with_step(content.clone(), Step::OwnFile),
            None => Stream::UNKNOWN,
        }
    }

    /// The path with the script's own links followed.
    pub fn follow(&self, path: Text) -> Text {
        if self.links.is_empty() {
            return path;
        }
        let mut path = path;
        for _ in 0..LINKS_FOLLOWED_MAX {
            let next = self.links.iter().rev().find_map(|(from, to)| {
                let rest = path.as_str().strip_prefix(from.as_str())?;
                let at = path.len() - rest.len();
                (rest.is_empty() || rest.starts_with('/')).then(|| {
                    let mut followed = to.clone();
                    followed.append_slice(&path, at, path.len());
                    followed.steps.extend(path.steps);
                    path::clean(&followed).with_step(Step::OwnFile)
                })
            });
            match next {
                Some(next) if next != path => path = next,
                _ => break,
            }
        }
        path
    }
}

fn with_step(stream: Stream, step: Step) -> Stream {
    match stream {
        Stream::Bytes { bytes, steps } => Stream::Bytes { bytes, steps: steps.with(step) },
        Stream::Partial(text) => Stream::Partial(text.with_step(step)),
        other => other,
    }
}

/// What a pod's mount table holds in any case: the directory of its service account's token.
const SERVICE_ACCOUNT: &str = "/run/secrets/kubernetes.io/serviceaccount";

pub(super) fn is_mount_table(path: &str) -> bool {
    path == "/etc/mtab" || path.starts_with("/proc/") && path.ends_with("/mounts")
}

/// Lines of a mount table, of which one is known.
fn mount_table(before: &str, behind: &str) -> Stream {
    let mut text = Text::hole();
    text.push_str(&format!("\n{before}{SERVICE_ACCOUNT}{behind}\n"));
    text.push_hole();
    Stream::from_text(text.with_step(Step::KnownLink))
}

/// The descriptor that a path such as `/dev/fd/3` names.
fn descriptor(path: &str) -> Option<u32> {
    match path {
        "-" | "/dev/stdin" => Some(0),
        _ => {
            let number =
                path.strip_prefix("/dev/fd/").or_else(|| path.strip_prefix("/proc/self/fd/"))?;
            number.parse().ok().filter(|number| *number < 1000)
        }
    }
}

/// Whether what is read there is what somebody types.
fn is_terminal(path: &str) -> bool {
    matches!(path, "/dev/tty" | "/dev/console" | "/dev/stdin") || path.starts_with("/dev/pts/")
}

impl Interpreter<'_> {
    /// Runs something with its redirections; what it prints, unless that goes elsewhere.
    pub(super) fn redirected(
        &mut self,
        redirects: &[Redirect],
        run: impl FnOnce(&mut Self) -> Stream,
    ) -> Stream {
        if redirects.is_empty() {
            return run(self);
        }
        let (input, given) = (self.input.clone(), self.input_is_given);
        let descriptors = self.descriptors.clone();
        let outputs = self.outputs.descriptors.clone();
        let mut output = None;
        let mut reads = false;
        for redirect in redirects {
            if let Some(to) = self.redirect(redirect, &mut reads) {
                output = Some(to);
            }
        }
        let standard = output.as_ref().map(|_| self.outputs.standard.take());
        let is_read = self.is_read;
        self.is_read |= matches!(output, Some(Output::File { .. }));
        let printed = run(self);
        self.is_read = is_read;
        if let Some(standard) = standard {
            self.outputs.standard = match &output {
                Some(Output::File { key, .. }) if self.keeps_descriptors => Some(key.clone()),
                Some(_) if self.keeps_descriptors => None,
                _ => standard,
            };
        }
        if reads {
            self.input = input;
            self.input_is_given = given;
        }
        if !self.keeps_descriptors {
            self.descriptors = descriptors;
            self.outputs.descriptors = outputs;
        }
        self.keeps_descriptors = false;
        match output {
            None | Some(Output::Pipe) => printed,
            Some(Output::Elsewhere) => Stream::Empty,
            Some(Output::File { key, append }) => {
                self.write(key, append, printed);
                Stream::Empty
            }
        }
    }

    fn write(&mut self, key: String, append: bool, printed: Stream) {
        if key == NULL {
            return;
        }
        let earlier = if append { self.files.contents.remove(&key) } else { None };
        let content = match earlier {
            Some(earlier) => self.joined(earlier, printed),
            None => printed,
        };
        self.budget.spend(key.len() + 1);
        self.files.insert(key, content);
    }

    /// What is printed, unless `exec` has turned the standard output to a file.
    pub(super) fn printed_on(&mut self, printed: Stream) -> Stream {
        match self.outputs.standard.clone() {
            Some(key) if !matches!(printed, Stream::Empty) => {
                self.write(key, true, printed);
                Stream::Empty
            }
            _ => printed,
        }
    }

    /// Carries one redirection out. Answers where the standard output goes, if it says that.
    fn redirect(&mut self, redirect: &Redirect, reads: &mut bool) -> Option<Output> {
        let target = match redirect.kind {
            RedirectKind::HereDocument => expand::document(&redirect.target.parts, self),
            _ => expand::single(&redirect.target, self),
        };
        self.budget.spend(target.len() + 1);
        match redirect.kind {
            RedirectKind::HereDocument => {
                let text = target.quoted().with_step(Step::HereDocument);
                self.open(redirect.descriptor, Stream::from_text(text), reads);
                None
            }
            RedirectKind::HereString => {
                let mut text = target.quoted().with_step(Step::HereDocument);
                // Nobody hands on nothing: the variable comes from the container.
                let unset = text.is_empty() && text.steps.has(Step::UnsetVariable);
                text.push('\n');
                let content = if unset { Stream::UNKNOWN } else { Stream::from_text(text) };
                self.open(redirect.descriptor, content, reads);
                None
            }
            RedirectKind::Read | RedirectKind::ReadWrite => {
                let content = self.read_file(&target);
                self.note_redirect(&target);
                self.open(redirect.descriptor, content, reads);
                if redirect.descriptor.unwrap_or(0) == 0 {
                    self.input_is_given = is_terminal(target.as_str());
                }
                None
            }
            RedirectKind::DuplicateInput => {
                let from = target.as_literal().and_then(|number| number.parse::<u32>().ok());
                if let Some(content) = from.and_then(|from| self.descriptors.get(from)).cloned() {
                    self.open(redirect.descriptor, content, reads);
                }
                None
            }
            RedirectKind::DuplicateOutput
            | RedirectKind::Both
            | RedirectKind::Write
            | RedirectKind::Append => {
                let is_number = target.as_str().parse::<u32>().is_ok() || target.as_str() == "-";
                let other = redirect.descriptor.filter(|descriptor| *descriptor != 1);
                if redirect.kind == RedirectKind::DuplicateOutput && is_number {
                    let to = target.as_str().parse().ok();
                    let key = to.and_then(|to: u32| self.outputs.descriptors.get(to)).cloned();
                    return match key.filter(|_| other.is_none()) {
                        Some(key) => Some(Output::File { key, append: true }),
                        None if other.is_none() && to == Some(2) => Some(Output::Pipe),
                        None => None,
                    };
                }
                self.note_redirect(&target);
                if let Some(other) = other {
                    let to = match target.as_literal() {
                        Some(NULL) => Output::File { key: NULL.to_owned(), append: false },
                        _ => self.output(&target, false),
                    };
                    if let Output::File { key, .. } = to {
                        let kept = self.outputs.descriptors.len() < DESCRIPTORS_MAX;
                        self.tell_dropped(kept);
                        if kept {
                            self.outputs.descriptors.insert(other, key);
                        }
                    }
                    return None;
                }
                Some(self.output(&target, redirect.kind == RedirectKind::Append))
            }
        }
    }

    fn output(&mut self, target: &Text, append: bool) -> Output {
        match target.as_str() {
            "/dev/stdout" | "/dev/tty" | "/dev/fd/1" | "/proc/self/fd/1" => Output::Pipe,
            NULL => Output::Elsewhere,
            _ => match self.resolved(target).as_literal() {
                Some(key) if !target.is_empty() => Output::File { key: key.to_owned(), append },
                _ => Output::Elsewhere,
            },
        }
    }

    fn open(&mut self, descriptor: Option<u32>, content: Stream, reads: &mut bool) {
        match descriptor.unwrap_or(0) {
            0 => {
                *reads = !self.keeps_descriptors;
                self.input = content;
                self.input_is_given = false;
            }
            other => {
                let kept = self.descriptors.len() < DESCRIPTORS_MAX;
                self.tell_dropped(kept);
                if kept {
                    self.descriptors.insert(other, content);
                }
            }
        }
    }

    /// What a program prints that lists mounts.
    pub(super) fn printed_mounts(&self, program: &str) -> Option<Stream> {
        let of = match program {
            "mount" => mount_table("tmpfs on ", " type tmpfs (ro,relatime)"),
            "df" => mount_table("tmpfs 65536 12 65524 1% ", ""),
            "findmnt" => mount_table("", " tmpfs tmpfs ro,relatime"),
            _ => return None,
        };
        self.files.tells_mounts().then_some(of)
    }

    pub(super) fn read_file(&self, path: &Text) -> Stream {
        self.files.content(path, &self.environment.directory, &self.input, &self.descriptors)
    }

    /// The content of a file that the script wrote and now runs as a program.
    pub(super) fn own_file(&self, program: &Text) -> Option<Stream> {
        if self.files.is_empty() {
            return None;
        }
        if !program.as_str().contains('/') {
            return self.own_program(program);
        }
        let path = self.resolved(program);
        let content = self.files.get(path.as_literal()?)?;
        Some(with_step(content.clone(), Step::OwnFile))
    }

    /// A program that is not followed has this name, and may write to it what it is given.
    pub(super) fn may_write(&mut self, path: &Text) {
        if path.len() > NAME_MAX_BYTES || !path.as_str().contains('/') {
            return;
        }
        if let Some(key) = self.resolved(path).as_literal() {
            let kept = self.files.may_write(key);
            self.tell_dropped(kept);
        }
    }

    /// What is not kept may be what matters.
    pub(super) fn tell_dropped(&mut self, kept: bool) {
        if !kept {
            self.budget.exceed(HiddenWhy::Work);
        }
    }

    /// Tells that a file is run which the command may have written in a way that is not followed.
    pub(super) fn hide_written(&mut self, path: &Text) {
        let may_be = self.resolved(path).as_literal().is_some_and(|key| self.files.is_written(key));
        if may_be && matches!(self.read_file(path), Stream::Unknown { .. }) {
            self.hide(HiddenWhy::DecodedCode, path.steps.with(Step::UnknownDecoded));
        }
    }

    /// The same for one that is found by `PATH`.
    fn own_program(&self, name: &Text) -> Option<Stream> {
        if !self.files.names.contains(name.as_str()) {
            return None;
        }
        let path = self.environment.value("PATH", 0).0?;
        let mut directories = path.as_str().split(':').take(DIRECTORIES_MAX);
        directories.find_map(|directory| {
            let file = path::join(&Text::literal(directory), name);
            let content = self.files.get(self.resolved(&file).as_literal()?)?;
            Some(with_step(content.clone(), Step::OwnFile))
        })
    }

    /// `cp`, `mv`, `ln`, `mount` of what the script made: where it is then found as well.
    pub(super) fn note_copy(&mut self, words: &[Text]) {
        let Some(name) = words.first().and_then(Text::as_literal) else { return };
        let name = programs::base_name(name);
        let links = matches!(name, "ln" | "mount");
        if !links && (self.files.is_empty() || !matches!(name, "cp" | "mv" | "install")) {
            return;
        }
        let takes_value = |word: &Text| name == "mount" && matches!(word.as_str(), "-o" | "-t");
        let mut after_option = false;
        let mut operands = words.iter().skip(1).filter(|word| {
            let is_value = std::mem::replace(&mut after_option, takes_value(word));
            !is_value && !word.as_str().starts_with('-') && !word.is_empty()
        });
        let (Some(from), Some(to)) = (operands.next(), operands.next()) else { return };
        let to = self.resolved(to);
        let Some(key) = to.as_literal() else { return };
        if links {
            let from = self.resolved(from);
            if from.as_str() != key && from.as_str().starts_with('/') && key != "/" {
                let kept = self.files.link(key.to_owned(), from);
                self.tell_dropped(kept);
            }
        } else if let Some(content) =
            self.resolved(from).as_literal().and_then(|from| self.files.get(from).cloned())
        {
            self.budget.spend(content.as_bytes().map_or(0, <[u8]>::len));
            self.files.insert(key.to_owned(), content);
        }
    }

    /// `tee FILE…`
    pub(super) fn write_files(&mut self, arguments: &[Text], content: &Stream) {
        for argument in arguments.iter().filter(|word| !word.as_str().starts_with('-')).take(16) {
            if let Some(key) = self.resolved(argument).as_literal() {
                let size = content.as_bytes().map_or(1, <[u8]>::len);
                if self.budget.spend(size + key.len()) {
                    self.files.insert(key.to_owned(), content.clone());
                }
            }
        }
    }

    /// `sed -i … FILE`: what it would print is what the file then holds.
    pub(super) fn edit_file(&mut self, arguments: &[Text]) {
        let in_place = |word: &&Text| {
            word.as_str().starts_with("-i") || word.as_str().starts_with("--in-place")
        };
        if !arguments.iter().any(|word| in_place(&word)) {
            return;
        }
        let others: Vec<Text> = arguments.iter().filter(|word| !in_place(word)).cloned().collect();
        let Some(file) = others.last().cloned() else { return };
        let content = filters::run(
            "sed",
            &others,
            &Stream::UNKNOWN,
            &|path| self.read_file(path),
            self.tools(),
        );
        self.write_files(std::slice::from_ref(&file), &content.unwrap_or(Stream::UNKNOWN));
    }

    /// The directory of `run-parts`, if the script wrote files.
    pub(super) fn parts_directory(&self, words: &[Text]) -> Option<Text> {
        if self.files.is_empty() {
            return None;
        }
        let name = programs::base_name(words.first()?.as_literal()?);
        let last = words.last().filter(|_| words.len() > 1)?;
        (name == "run-parts").then(|| self.resolved(last))
    }

    /// Runs the files that the script wrote into a directory.
    pub(super) fn run_parts(&mut self, directory: &Text) -> Stream {
        for script in self.files.within(directory.as_str()) {
            self.with_script(Vec::new(), |shell| shell.run_stream(&script));
        }
        Stream::UNKNOWN
    }

    /// A redirection's file as an access.
    fn note_redirect(&mut self, target: &Text) {
        if target.as_literal() == Some(NULL) {
            return;
        }
        self.note_path(target, Reach::Named, None);
    }
}
