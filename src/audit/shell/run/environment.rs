//! What a script has set: variables, functions, the working directory.
//!
//! Owns the state that a subshell copies. Where a branch may or may not have been taken, a
//! variable has several possible values, the likeliest first.

use std::rc::Rc;

use compact_str::CompactString;

use crate::limits;

use super::super::ast::Node;
use super::super::text::{Step, Text};
use super::array::Array;
use super::simple::subscripted;
use super::sparse::Sparse;

/// The most names that are gone through to the variable that is meant.
const REFERENCES_FOLLOWED_MAX: usize = 8;

/// A variable that is set. A plain one is an array of one element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Variable {
    array: Array,
    /// Other values that the first element may have.
    alternatives: Vec<Text>,
}

#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `None` is a variable that was unset.
    variables: Sparse<CompactString, Option<Rc<Variable>>>,
    /// `declare -n r=x`: the variable that another name stands for; empty before it is given.
    references: Sparse<String, String>,
    pub(super) functions: Sparse<String, Rc<Node>>,
    pub(super) aliases: Sparse<String, Text>,
    /// `$0` first.
    pub positional: Vec<Text>,
    /// Empty when unknown, as at the start.
    pub directory: Text,
    /// Where the script was before, or may be; the empty one is where it started.
    pub directories: Vec<Text>,
    /// A pattern among the positional parameters that `shift` dropped: the words behind the first
    /// that it stands for are still there.
    pub dropped: Option<Text>,
    pub traps: Vec<Text>,
    /// A directory or a value that may be the one had to be dropped.
    pub forgot: bool,
}

/// The difference between two environments.
#[derive(Debug)]
pub struct Changed {
    /// Variables that are other than they were.
    pub names: Vec<String>,
    /// More than numbers is.
    pub others: bool,
}

impl Environment {
    /// A variable that is set, as an array.
    pub fn elements(&self, name: &str) -> Option<Vec<Text>> {
        let name = self.target(name);
        match self.variables.get(name) {
            Some(set) => set.as_ref().map(|variable| variable.array.elements.to_vec()),
            None => inherited(name, self).map(|value| vec![value]),
        }
    }

    /// A variable that was set.
    pub fn array(&self, name: &str) -> Option<&Array> {
        let set = self.variables.get(self.target(name))?;
        set.as_ref().map(|variable| &variable.array)
    }

    /// The same to be changed, or what the container may have set.
    pub fn to_change(&self, name: &str) -> Array {
        let name = self.target(name);
        if let Some((array, subscript)) = subscripted(name) {
            let element = self.array(array).and_then(|array| array.get(subscript));
            return Array::counted(element.cloned().into_iter().collect::<Vec<_>>());
        }
        match self.variables.get(name) {
            Some(set) => set.as_ref().map(|it| it.array.clone()).unwrap_or_default(),
            None => Array::counted(inherited(name, self).into_iter().collect::<Vec<_>>()),
        }
    }

    /// `declare -A name`: elements with names. A value becomes the one of the key 0, and an array
    /// with indices stays as it is.
    pub fn set_associative(&mut self, name: &str) {
        let known = self.array(name);
        if known.is_some_and(|array| array.is_associative() || array.elements.len() > 1) {
            return;
        }
        let mut array = Array::associative();
        if let Some(value) = self.to_change(name).first() {
            array.put("0", value.clone(), false);
        }
        let name = CompactString::from(self.target(name));
        let variable = self.variables.entries().entry(name).or_default().get_or_insert_default();
        Rc::make_mut(variable).array = array;
    }

    /// `declare -n r='a[1]'`: the element that a name stands for.
    pub fn element_meant(&self, name: &str) -> Option<String> {
        let target = self.references.get(name).map(|_| self.target(name))?;
        subscripted(target).map(|_| target.to_owned())
    }

    /// `unset name[key]`
    pub fn unset_element(&mut self, name: &str, key: &str) {
        let name = CompactString::from(self.target(name));
        if let Some(Some(variable)) = self.variables.get_mut(&name) {
            Rc::make_mut(variable).array.remove(key);
        }
    }

    /// What of a variable may be its value, without copying: the first and the others.
    pub fn value(&self, name: &str, choice: usize) -> (Option<Text>, usize) {
        let name = self.target(name);
        if let Some((array, subscript)) = subscripted(name) {
            return (self.array(array).and_then(|array| array.get(subscript)).cloned(), 1);
        }
        match self.variables.get(name) {
            Some(None) => (None, 1),
            Some(Some(variable)) => {
                let choices = 1 + variable.alternatives.len();
                let value = match choice % choices {
                    0 => variable.array.first(),
                    other => variable.alternatives.get(other - 1),
                };
                (value.cloned(), choices)
            }
            None => (inherited(name, self), 1),
        }
    }

    pub fn set(&mut self, name: &str, value: Text) {
        self.set_array(name, Array::counted([value]));
    }

    pub fn set_array(&mut self, name: &str, array: Array) {
        let name = CompactString::from(self.target(name));
        if let Some(target) = self.references.get_mut(&*name).filter(|target| target.is_empty()) {
            let given = array.first().and_then(Text::as_literal).unwrap_or_default();
            given.clone_into(target);
            return;
        }
        let variable = Variable { array, alternatives: Vec::new() };
        self.variables.insert(name, Some(Rc::new(variable)));
    }

    pub fn sets_nothing(&self) -> bool {
        self.variables.is_empty() && self.references.is_empty()
    }

    pub fn unset(&mut self, name: &str) {
        let name = CompactString::from(self.target(name));
        self.variables.insert(name, None);
    }

    /// Makes one name stand for another variable, or with an empty target for the one that it is
    /// given next.
    pub fn refer(&mut self, name: &str, target: &str) {
        self.references.insert(name.to_owned(), target.to_owned());
    }

    pub fn stop_referring(&mut self, name: &str) {
        self.references.remove(name);
    }

    /// The name of the variable that is meant.
    fn target<'n>(&'n self, name: &'n str) -> &'n str {
        let mut name = name;
        for _ in 0..REFERENCES_FOLLOWED_MAX {
            match self.references.get(name) {
                Some(target) if !target.is_empty() => name = target,
                _ => break,
            }
        }
        name
    }

    pub fn names(&self, prefix: &str) -> Vec<String> {
        let set = self.variables.iter().filter(|(_, value)| value.is_some());
        let mut names: Vec<String> =
            set.map(|(name, _)| name.to_string()).filter(|name| name.starts_with(prefix)).collect();
        names.sort_unstable();
        names
    }

    /// Whether a script does the same in both.
    pub fn is_as(&self, other: &Environment) -> bool {
        let same = |(name, body): (&String, &Rc<Node>)| {
            other.functions.get(name).is_some_and(|other| Rc::ptr_eq(other, body) || other == body)
        };
        self.directory == other.directory
            && self.positional == other.positional
            && self.variables == other.variables
            && self.references == other.references
            && self.functions.iter().all(same)
            && self.aliases == other.aliases
    }

    /// What a round of a loop made other than it was.
    pub fn changed_since(&self, before: &Environment) -> Changed {
        let is_number = |value: &Text| {
            value.as_str().is_empty() || value.as_str().trim().parse::<i64>().is_ok()
        };
        let mut names = Vec::new();
        let mut others = self.positional != before.positional
            || self.directory != before.directory
            || self.references != before.references
            || self.directories != before.directories
            || self.traps != before.traps
            || self.functions.len() != before.functions.len()
            || self.functions.iter().any(|(name, body)| {
                !before.functions.get(name).is_some_and(|other| Rc::ptr_eq(body, other))
            })
            || self.aliases != before.aliases;
        for (name, value) in self.variables.iter() {
            if before.variables.get(name) == Some(value) {
                continue;
            }
            let values =
                value.iter().flat_map(|it| it.array.elements.iter().chain(&it.alternatives));
            others |= !values.into_iter().all(is_number)
                || value.as_ref().is_some_and(|variable| !variable.array.is_plain());
            names.push(name.to_string());
        }
        names.sort_unstable();
        Changed { names, others }
    }

    /// What is unknown in a variable is unknown because it was not followed.
    pub fn mark_unknown(&mut self, name: &str) {
        if let Some(Some(variable)) = self.variables.get_mut(name) {
            let variable = Rc::make_mut(variable);
            let values = variable.array.elements.iter_mut().chain(&mut variable.alternatives);
            values.filter(|value| value.has_hole()).for_each(|value| {
                value.steps.add(Step::UnknownDecoded);
            });
        }
    }

    /// How many things there are to copy.
    pub fn size(&self) -> usize {
        self.variables.len() + self.references.len() + self.functions.len() + self.positional.len()
    }

    /// Goes to another directory and remembers the one it leaves.
    pub fn change_directory(&mut self, to: Text) {
        let from = std::mem::replace(&mut self.directory, to);
        self.remember_directory(from);
    }

    pub fn remember_directory(&mut self, directory: Text) {
        if directory == self.directory || self.directories.contains(&directory) {
            return;
        }
        if self.directories.len() == limits::SHELL_ALTERNATIVES_MAX {
            self.directories.remove(0);
            self.forgot = true;
        }
        self.directories.push(directory);
    }

    /// Takes in what holds if the part that made this out of `before` was not run.
    pub fn merge(&mut self, before: &Environment) {
        if self.variables.is_empty() {
            return self.remember_directory(before.directory.clone());
        }
        for (name, now) in self.variables.entries() {
            let earlier = match before.variables.get(name) {
                Some(Some(earlier)) => Rc::clone(earlier),
                _ => Rc::new(Variable {
                    array: Array::counted([Text::new()]),
                    ..Variable::default()
                }),
            };
            let Some(now) = now else {
                *now = Some(earlier);
                continue;
            };
            if Rc::ptr_eq(now, &earlier) {
                continue;
            }
            for value in earlier.array.elements.iter().take(1).chain(&earlier.alternatives) {
                let known =
                    now.array.elements.first() == Some(value) || now.alternatives.contains(value);
                if known {
                    continue;
                }
                if now.alternatives.len() < limits::SHELL_ALTERNATIVES_MAX {
                    Rc::make_mut(now).alternatives.push(value.clone());
                } else {
                    self.forgot = true;
                }
            }
        }
        self.remember_directory(before.directory.clone());
    }
}

/// What every container's environment holds, or is unknown in it. `None` is taken for unset.
fn inherited(name: &str, environment: &Environment) -> Option<Text> {
    let known = match name {
        "HOME" => "/root",
        "PATH" => "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "IFS" => " \t\n",
        "SHELL" | "BASH" => "/bin/sh",
        "USER" | "LOGNAME" => "root",
        "UID" | "EUID" => "0",
        "TERM" => "xterm",
        "SHLVL" | "OPTIND" => "1",
        "PS2" => "> ",
        "PS4" => "+ ",
        "OSTYPE" => "linux-gnu",
        "HOSTTYPE" => "x86_64",
        "MACHTYPE" => "x86_64-pc-linux-gnu",
        "PWD" => {
            let directory = &environment.directory;
            return Some(if directory.is_empty() {
                Text::literal("/").with_step(Step::UnknownDirectory)
            } else {
                directory.clone().with_step(Step::WorkingDirectory)
            });
        }
        "HOSTNAME" | "PPID" | "SECONDS" | "LINENO" | "EPOCHSECONDS" | "BASHPID"
        | "BASH_VERSION" | "SRANDOM" | "REPLY" => return Some(Text::hole()),
        _ if name.starts_with("KUBERNETES_") => return Some(Text::hole()),
        _ => return None,
    };
    Some(Text::literal(known))
}
