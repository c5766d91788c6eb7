//! Programs: what one that is known does with its words, its input and other programs.

use std::rc::Rc;

use crate::limits;

use super::super::ast::Span;
use super::super::expand;
use super::super::filters::Allowance;
use super::super::names::Names;
use super::super::parse::parse_document;
use super::super::programs::{self, Classified, Operand, Program, Wrapper, WrapperInput};
use super::super::reading::HiddenWhy;
use super::super::text::{Step, Stream, Text};
use super::super::{filters, foreign};
use super::{COMMAND_WORK, Interpreter, files, reach};

/// What compiling a text tool's regular expression costs beside the bytes that go through it.
const PATTERN_WORK: usize = 512;

/// Programs whose output is followed here.
const OTHERS: Names = Names::of(&["envsubst mount df findmnt ls dir find fd"]);

/// Longest word in a program's input that may be a file's name.
const NAME_MAX_BYTES: usize = 256;

impl Interpreter<'_> {
    /// The file that a shell runs before anything else, where the script has set it.
    pub(super) fn run_startup_file(&mut self) {
        if self.environment.sets_nothing() {
            return;
        }
        for name in ["BASH_ENV", "ENV"] {
            if let Some(file) = self.environment.value(name, 0).0 {
                let content = self.read_file(&file);
                self.run_stream(&content);
            }
        }
    }

    pub(super) fn program(&mut self, words: &[Text], spans: &[Span], span: Span) -> Stream {
        self.status = None;
        if let Some(script) = words.first().and_then(|name| self.own_file(name)) {
            let positional = words.to_vec();
            let output = self.with_script(positional, |shell| shell.run_stream(&script));
            self.files_alone = false;
            return output;
        }
        if let Some(directory) = self.parts_directory(words) {
            let output = self.run_parts(&directory);
            self.files_alone = false;
            return output;
        }
        let Classified { program, evaluates } = programs::classify(words);
        let files_alone = matches!(program, Program::Files { .. });
        self.reading.evaluates |= files_alone && evaluates;
        let output = self.classified(program, words, spans, span);
        self.files_alone = files_alone;
        output
    }

    fn classified(
        &mut self,
        program: Program,
        words: &[Text],
        spans: &[Span],
        span: Span,
    ) -> Stream {
        let is_last = std::mem::take(&mut self.is_last);
        match program {
            Program::ShellText { script, positional } if is_last => {
                // Nothing comes after it, so nothing is kept of what was before.
                self.environment().positional = positional;
                let output = self.run_text(&script, Step::Eval);
                let last = self.run_traps();
                self.joined(output, last)
            }
            Program::Wrapper(wrapper) => self.run_wrapper(*wrapper, words, spans, span),
            Program::ShellText { script, positional } => {
                self.with_script(positional, |shell| shell.run_text(&script, Step::Eval))
            }
            Program::ShellStdin { positional } => {
                self.reading.interactive |= self.input_is_given;
                let source = std::mem::take(&mut self.input);
                self.with_script(positional, |shell| shell.run_stream(&source))
            }
            Program::ShellFile { file, positional } => {
                self.hide_written(&file);
                // A file that is read before what is typed.
                let starts = |word: &Text| matches!(word.as_str(), "--rcfile" | "--init-file");
                self.reading.interactive |= self.input_is_given && words.iter().any(starts);
                let source = self.read_file(&file);
                self.note_operand(&file, spans, words);
                self.with_script(positional, |shell| shell.run_stream(&source))
            }
            Program::Foreign { language, code, arguments } => {
                let input = self.input.clone();
                let output = self.run_foreign(language, &code, &arguments);
                // awk is a text filter as well.
                if language != foreign::Language::Awk {
                    return output;
                }
                self.input = input;
                match self.filter(words, &[]) {
                    Stream::Unknown { .. } | Stream::Empty => output,
                    filtered => filtered,
                }
            }
            Program::ForeignStdin { language, arguments } => {
                let code = std::mem::take(&mut self.input).to_text();
                self.run_foreign(language, &code, &arguments)
            }
            Program::ForeignFile { language, file, arguments } => {
                let code = self.read_file(&file).to_text();
                self.note_operand(&file, spans, words);
                self.run_foreign(language, &code, &arguments)
            }
            Program::Files { operands } => {
                self.operand.set(0);
                for operand in &operands {
                    self.note_access(operand, spans, words);
                }
                self.note_copy(words);
                self.filter(words, &operands)
            }
        }
    }

    /// In a shell of its own, with parameters of its own.
    pub(super) fn with_script(
        &mut self,
        positional: Vec<Text>,
        run: impl FnOnce(&mut Self) -> Stream,
    ) -> Stream {
        self.subshell(|shell| {
            shell.environment().positional = positional;
            shell.run_startup_file();
            run(shell)
        })
    }

    /// What a text tool prints.
    pub(super) fn filter(&mut self, words: &[Text], operands: &[Operand]) -> Stream {
        let Some((name, arguments)) = words.split_first() else { return Stream::Empty };
        let Some(name) = programs::name_of(name) else { return Stream::UNKNOWN };
        if !filters::may_know(name) && !OTHERS.may_hold(name) {
            self.check_tools();
            return self.not_followed(operands);
        }
        if name == "envsubst" && self.is_given_text() {
            let text = std::mem::take(&mut self.input).to_text();
            let out =
                self.computed(|shell| expand::document(&parse_document(text.as_str()), shell));
            return Stream::from_text(out.quoted().with_steps(text.steps).with_step(Step::Filter));
        }
        if matches!(name, "sed" | "grep" | "egrep" | "awk" | "gawk" | "mawk" | "nawk") {
            self.budget.spend(PATTERN_WORK);
        }
        if let Some((file, rest)) = filters::written(name, arguments) {
            let content =
                filters::run(name, &rest, &self.input, &|path| self.read_file(path), self.tools());
            self.write_files(&[file], &content.unwrap_or(Stream::UNKNOWN));
        }
        if let Some(mounts) = self.printed_mounts(name) {
            return mounts;
        }
        let before = self.input.steps();
        // Whatever is given files reads those; anything else reads all of its input.
        let reads_input = operands.is_empty() && !matches!(name, "echo" | "printf" | "seq");
        let (files, descriptors) = (&self.files, &self.descriptors);
        let (directory, input) = (&self.environment.directory, &self.input);
        let output = if filters::passes_on(name, arguments) && self.knows_nothing(arguments) {
            Some(Stream::UNKNOWN)
        } else {
            let read = |path: &Text| files.content(path, directory, input, descriptors);
            filters::run(name, arguments, input, &read, self.tools())
        };
        self.check_tools();
        if matches!(name, "ls" | "dir" | "find" | "fd") {
            return self.printed_names(name, words, operands);
        }
        let Some(output) = output else {
            return self.not_followed(operands);
        };
        let vanished = std::mem::take(&mut self.vanished);
        let unset = arguments.iter().any(|word| word.steps.has(Step::UnsetVariable));
        if (unset || vanished) && output.to_text().as_str().trim().is_empty() {
            // Nobody prints nothing: the variable comes from the container.
            return Stream::UNKNOWN;
        }
        let output = if self.turns_back(name, reads_input) { Stream::UNKNOWN } else { output };
        self.budget.spend(output.as_bytes().map_or(0, <[u8]>::len) + self.waiting());
        if reads_input {
            self.input = Stream::Empty;
        }
        self.note_decoded(&output, before);
        match name {
            "tee" => self.write_files(arguments, &output),
            "sed" => self.edit_file(arguments),
            _ => {}
        }
        output
    }

    /// Whether nothing is known of what a tool may read, the files that it is given included.
    fn knows_nothing(&self, arguments: &[Text]) -> bool {
        matches!(self.input, Stream::Unknown { decoded: false })
            && self.descriptors.is_empty()
            && self.files.is_empty()
            && !self.tools.get().is_some_and(Allowance::is_spent)
            && !arguments.iter().any(|argument| files::is_mount_table(argument.as_str()))
    }

    /// A program that is not known may write what it is given, and holds it in any case.
    fn not_followed(&mut self, operands: &[Operand]) -> Stream {
        if self.is_given_text() {
            operands.iter().for_each(|operand| self.may_write(&operand.path));
        }
        self.note_input();
        Stream::UNKNOWN
    }

    /// Tools and other languages that were given too much to do are told.
    fn check_tools(&mut self) {
        if self.tools.get().is_some_and(Allowance::is_spent) {
            self.budget.exceed(HiddenWhy::Work);
        }
    }

    pub(super) fn run_foreign(
        &mut self,
        language: foreign::Language,
        code: &Text,
        arguments: &[Text],
    ) -> Stream {
        if code.has_hole() && code.steps.has(Step::UnknownDecoded) {
            self.hide(HiddenWhy::DecodedCode, code.steps);
        }
        self.reading.evaluates = true;
        self.budget.spend(code.len());
        // What comes out of code that is given a known text may be any other.
        let given = self.is_given_text();
        let found = foreign::read(language, code.as_str(), arguments, self.tools());
        self.check_tools();
        if found.incomplete {
            self.budget.exceed(HiddenWhy::Work);
        }
        let reach = reach::of_code(code.as_str());
        let line = self.given_line();
        for text in &found.texts {
            self.note_text(text, reach);
            self.may_write(text);
            // The name of a file in a directory may be what it reads.
            if let Some(line) = line.as_ref().filter(|_| text.as_str().ends_with('/')) {
                let mut path = text.clone();
                path.append(line);
                self.note_path(&path.with_step(Step::OtherLanguage), reach, None);
            }
        }
        for argument in arguments {
            self.note_operand(argument, &[], &[]);
        }
        for script in &found.shells {
            let positional = vec![Text::literal("sh")];
            self.with_script(positional, |shell| shell.run_text(script, Step::OtherLanguage));
        }
        // What the code prints is mostly one of its strings.
        let decodes = found.texts.iter().any(|text| text.steps.has(Step::Base64));
        let decoded = given || decodes || foreign::decodes(code.as_str());
        // What it decodes is what it does so for.
        let readable =
            found.texts.iter().rfind(|text| text.is_literal() && reach::is_decoded(text));
        if let Some(text) = readable {
            return Stream::from_text(text.clone());
        }
        match found.texts.as_slice() {
            [only] if decodes || !decoded => Stream::from_text(only.clone()),
            _ => Stream::Unknown { decoded },
        }
    }

    /// Whether a second `rev` undoes the first: `rev | cut -d- -f1 | rev` takes the last field and
    /// decodes nothing.
    fn turns_back(&mut self, name: &str, reads_input: bool) -> bool {
        match name {
            "rev" => {
                let unknown = matches!(self.input, Stream::Unknown { .. });
                let back = self.reversed && reads_input && unknown;
                self.reversed = !back;
                back
            }
            "cut" | "head" | "tail" | "grep" | "tr" | "sed" | "awk" => false,
            _ => {
                self.reversed = false;
                false
            }
        }
    }

    /// The standard input, if it is one known word.
    fn given_line(&self) -> Option<Text> {
        let bytes = self.input.as_bytes().filter(|bytes| bytes.len() <= NAME_MAX_BYTES)?;
        let line = std::str::from_utf8(bytes).ok()?.trim();
        let word = !line.is_empty() && !line.contains(char::is_whitespace);
        word.then(|| Text::literal(line).with_steps(self.input.steps()))
    }

    /// Whether the standard input is known, and holds something.
    fn is_given_text(&self) -> bool {
        self.input.as_bytes().is_some_and(|bytes| !bytes.trim_ascii().is_empty())
    }

    pub(super) fn run_wrapper(
        &mut self,
        wrapper: Wrapper,
        words: &[Text],
        spans: &[Span],
        span: Span,
    ) -> Stream {
        self.operand.set(0);
        for operand in &wrapper.operands {
            self.note_access(operand, spans, words);
        }
        if wrapper.argv.is_empty() {
            return Stream::UNKNOWN;
        }
        if !self.budget.enter(1) {
            return Stream::UNKNOWN;
        }
        let environment = Rc::clone(&self.environment);
        for (name, value) in &wrapper.assignments {
            self.note_value(name, std::slice::from_ref(value));
            self.environment().set(name, value.clone());
        }
        let found_there = || {
            let there = words.iter().any(|word| word.as_str() == "-execdir");
            wrapper.operands.first().map(|operand| &operand.path).filter(|_| there)
        };
        if let Some(directory) = wrapper.directory.as_ref().or_else(found_there) {
            let to = self.resolved(directory);
            self.environment().change_directory(to);
        }
        let output = match wrapper.input {
            WrapperInput::None => self.command(wrapper.argv, spans, span),
            input => {
                let roots = wrapper.operands.iter().map(|operand| operand.path.clone());
                let roots: Vec<Text> = roots.take(limits::SHELL_ALTERNATIVES_MAX).collect();
                self.with_arguments(&wrapper.argv, input, &roots, spans, span)
            }
        };
        self.environment = environment;
        self.budget.leave(1);
        output
    }

    /// `xargs` and `find -exec`: the command with what they put into it.
    pub(super) fn with_arguments(
        &mut self,
        argv: &[Text],
        input: WrapperInput,
        found: &[Text],
        spans: &[Span],
        span: Span,
    ) -> Stream {
        let mut output = Stream::Empty;
        let names = self.take_names(&input);
        for argv in reach::argument_lists(argv, &input, &names, found) {
            if !self.budget.spend(COMMAND_WORK + argv.iter().map(Text::len).sum::<usize>()) {
                break;
            }
            let out = self.command(argv, spans, span);
            output = self.joined(output, out);
        }
        output
    }

    /// What names a wrapper hands on, unsplit.
    pub(super) fn take_names(&mut self, input: &WrapperInput) -> Stream {
        match input {
            WrapperInput::Arguments { file: Some(file), .. } => self.read_file(file),
            WrapperInput::Arguments { file: None, .. } => std::mem::take(&mut self.input),
            _ => Stream::UNKNOWN,
        }
    }
}
