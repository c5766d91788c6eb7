//! Functions that run another program, in every language: what a shell would be told to do.

use super::Language;
use super::elements::Elements;
use super::fold::Folder;
use super::value::{Value, concatenated};
use crate::audit::shell::text::{MarkKind, Step, Text};

/// How a function takes the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A text for a shell, or a list of words; or a program, and its arguments as a list.
    Command,
    /// Each argument is a word; a single one is for a shell.
    Words,
    /// A path, and the whole argv as a list.
    Vector { skip: usize },
    /// A path, and the whole argv as further arguments.
    Spread { skip: usize },
}

fn form(language: Language, name: &str) -> Option<Form> {
    Some(match language {
        Language::Python => match name {
            "system"
            | "popen"
            | "popen2"
            | "popen3"
            | "popen4"
            | "getoutput"
            | "getstatusoutput"
            | "getstatus"
            | "run"
            | "call"
            | "check_call"
            | "check_output"
            | "Popen"
            | "spawn"
            | "create_subprocess_shell"
            | "subprocess_shell" => Form::Command,
            "create_subprocess_exec" | "subprocess_exec" => Form::Words,
            "execv" | "execve" | "execvp" | "execvpe" | "posix_spawn" | "posix_spawnp" => {
                Form::Vector { skip: 0 }
            }
            "execl" | "execle" | "execlp" | "execlpe" => Form::Spread { skip: 0 },
            "spawnv" | "spawnve" | "spawnvp" | "spawnvpe" => Form::Vector { skip: 1 },
            "spawnl" | "spawnle" | "spawnlp" | "spawnlpe" => Form::Spread { skip: 1 },
            _ => return None,
        },
        Language::Perl => match name {
            "system" | "exec" | "readpipe" | "run3" | "capture" => Form::Words,
            _ => return None,
        },
        Language::Ruby => match name {
            "system" | "exec" | "spawn" | "popen" | "popen2" | "popen2e" | "popen3"
            | "capture2" | "capture2e" | "capture3" | "pipeline" | "pipeline_r" | "sh" => {
                Form::Words
            }
            _ => return None,
        },
        Language::Node => match name {
            "exec" | "execSync" | "spawn" | "spawnSync" | "execFile" | "execFileSync"
            | "Command" | "run" | "$" | "execa" | "execaSync" => Form::Command,
            _ => return None,
        },
        Language::Php => match name {
            "system" | "exec" | "shell_exec" | "passthru" | "popen" | "proc_open" => Form::Command,
            "pcntl_exec" => Form::Command,
            _ => return None,
        },
        Language::Lua => match name {
            "execute" | "popen" => Form::Command,
            _ => return None,
        },
        Language::Awk => match name {
            "system" => Form::Command,
            _ => return None,
        },
    })
}

/// A program that reads commands from its input.
pub(super) fn is_shell(command: &str) -> bool {
    let program = command.split_whitespace().next().unwrap_or("");
    let name = program.rsplit('/').next().unwrap_or("");
    matches!(name, "sh" | "bash" | "ash" | "dash" | "zsh" | "ksh" | "busybox")
}

impl Folder {
    /// Tells the command if `name` runs one.
    pub fn run_command(
        &mut self,
        receiver: Option<&Value>,
        name: &str,
        arguments: &Elements,
    ) -> Option<Value> {
        if !matches!(receiver, None | Some(Value::Name(_) | Value::Unknown(_))) {
            return None;
        }
        let form = form(self.language, name)?;
        let mut values = arguments.values.clone();
        let mut options: Vec<(String, Value)> = arguments.named.clone();
        values.retain(|value| match value {
            Value::Map(pairs) => {
                options.extend(pairs.iter().cloned());
                false
            }
            _ => true,
        });
        let option = |names: &[&str]| {
            let found = options.iter().find(|(key, _)| names.contains(&&**key));
            found.map(|(_, value)| value.clone())
        };
        if let Some(words) = option(&["args", "cmd"]) {
            values.push(words);
        }
        let command = match form {
            Form::Command => self.command_of(&values),
            Form::Words => match values.as_slice() {
                [Value::List(words)] => Some(self.words(words)),
                [one] => Some(one.text()),
                [] => None,
                // Ruby's `[program, name]` stands for the program.
                several => Some(self.words(several)),
            },
            Form::Vector { skip } => match (values.get(skip), values.get(skip + 1)) {
                (Some(path), Some(Value::List(words))) => {
                    let words: Vec<Value> =
                        std::iter::once(path).chain(words.iter().skip(1)).cloned().collect();
                    Some(self.words(&words))
                }
                (Some(path), _) => Some(path.text()),
                _ => None,
            },
            Form::Spread { skip } => {
                let mut words: Vec<Value> = values.iter().skip(skip).cloned().collect();
                if words.len() > 1 {
                    words.remove(1);
                }
                Some(self.words(&words))
            }
        };
        if let Some(command) = command {
            let directory = option(&["cwd", "chdir"]).map(|directory| directory.text());
            let command = match directory {
                Some(directory) => in_directory(&directory, &command),
                None => command,
            };
            self.tell_shell(command);
        }
        // Callbacks, environment, input.
        for value in &values {
            if matches!(value, Value::Function(_)) {
                self.emit(value);
            }
        }
        for (key, value) in &options {
            if !matches!(&**key, "args" | "cmd" | "cwd" | "chdir") {
                self.emit(value);
            }
        }
        Some(Value::UNKNOWN)
    }

    fn command_of(&mut self, values: &[Value]) -> Option<Text> {
        Some(match values {
            [Value::List(words), ..] => self.words(words),
            [program, Value::List(words), ..] => {
                let words: Vec<Value> =
                    std::iter::once(program).chain(words.iter()).cloned().collect();
                self.words(&words)
            }
            [command, ..] => command.text(),
            [] => return None,
        })
    }

    /// Words as a shell reads them back.
    fn words(&mut self, words: &[Value]) -> Text {
        let mut out = Text::new();
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                out.push(' ');
            }
            let text = word.text();
            self.spend(1 + text.len() / 16);
            out = concatenated(out, &quoted(&text));
        }
        out.with_step(Step::OtherLanguage)
    }
}

/// The word between single quotes, if it needs them.
pub(in crate::audit::shell) fn quoted(word: &Text) -> Text {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:=@%+,-".contains(&byte);
    if !word.is_empty() && word.as_str().bytes().all(plain) {
        return word.clone();
    }
    let mut out = Text::literal("'");
    let mut from = 0;
    for mark in word.marks().iter().filter(|mark| mark.kind == MarkKind::Hole) {
        out.push_str(&word.as_str().get(from..mark.at).unwrap_or("").replace('\'', "'\\''"));
        out.push_hole();
        from = mark.at;
    }
    out.push_str(&word.as_str().get(from..).unwrap_or("").replace('\'', "'\\''"));
    out.push('\'');
    out.steps = word.steps;
    out
}

/// `command` as it runs in `directory`.
pub(super) fn in_directory(directory: &Text, command: &Text) -> Text {
    let mut out = Text::literal("cd ");
    out.append(&quoted(directory));
    out.push_str(" && ");
    let mut out = concatenated(out, command);
    out.steps.add(Step::WorkingDirectory);
    out
}
