//! Values of properties that stand elsewhere: in a file, or in a variable of the environment.
//!
//! Owns how a value refers to such a place (`${FILE:/path}`, `${ENV:NAME}`, or the property's name
//! with `_file` behind it and a path) and the reading of it, bounded. What is found counts as a
//! secret, whatever the property is called: no message holds any of it.

use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::path::Path;

use super::error::visible;
use crate::limits;

/// Behind the name of a property: the value is the path of the file that holds it.
const FILE_SUFFIX: &str = "_file";

/// What a property is set to, before anything is looked up. May be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// A text, which may refer to other places.
    Text(String),
    /// The path of a file that holds the whole value. It may refer to variables.
    File(String),
}

impl Given {
    /// The property that `name` sets, and to what.
    pub fn new(name: &str, value: String) -> (String, Given) {
        match name.strip_suffix(FILE_SUFFIX) {
            Some(property) => (property.to_owned(), Given::File(value)),
            None => (name.to_owned(), Given::Text(value)),
        }
    }

    /// The value, where it is what is written.
    pub fn plain(&self) -> Option<&str> {
        match self {
            Given::Text(text) if !text.contains("${") => Some(text),
            _ => None,
        }
    }

    /// The name as it was written.
    pub fn key(&self, property: &str) -> String {
        match self {
            Given::Text(_) => property.to_owned(),
            Given::File(_) => format!("{property}{FILE_SUFFIX}"),
        }
    }

    /// The value in full. Reads files.
    ///
    /// # Errors
    /// A place that is not there, can't be read, is too large or holds nothing.
    pub fn look_up(&self, environment: &[(OsString, OsString)]) -> Result<Found, Missing> {
        match self {
            Given::Text(text) => expand(text, environment, true),
            Given::File(path) => {
                let mut found = expand(path, environment, false)?;
                let value = read(&found.value)?;
                found.places.push(Place::File(found.value));
                Ok(Found { value, places: found.places })
            }
        }
    }
}

/// A place that a value, or a part of it, was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// By its path.
    File(String),
    /// By its name.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => write!(f, "file {}", visible(path)),
            Place::Variable(name) => write!(f, "env {}", visible(name)),
        }
    }
}

/// A value in full, and every place that was looked at for it.
pub(crate) struct Found {
    pub value: String,
    pub places: Vec<Place>,
}

/// Why a value could not be had. Names the place, never what is in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub message: String,
    pub hint: &'static str,
}

const SPELLING: &str =
    "write `${FILE:/path}` or `${ENV:NAME}`; `$${` stands for a plain `${` that is no reference";
const VARIABLE: &str = "set the variable in the environment that kubetell is started with";
const FILE: &str = "the value must be in a file that the user kubetell runs as may read; \
                    a relative path counts from the working directory";

/// `value` with what its references stand for in their places.
fn expand(
    value: &str,
    environment: &[(OsString, OsString)],
    files: bool,
) -> Result<Found, Missing> {
    let wrong = |message: &str| Missing { message: message.to_owned(), hint: SPELLING };
    let mut found = Found { value: String::new(), places: Vec::new() };
    let mut rest = value;
    while let Some(at) = rest.find("${") {
        let (before, behind) = (&rest[..at], &rest[at + 2..]);
        let kind = &behind[..behind.bytes().take_while(u8::is_ascii_alphabetic).count()];
        let is_reference = !kind.is_empty() && behind[kind.len()..].starts_with(':');
        if let (Some(before), true) = (before.strip_suffix('$'), is_reference) {
            found.value.push_str(before);
            found.value.push_str("${");
            rest = behind;
            continue;
        }
        found.value.push_str(before);
        if !is_reference {
            found.value.push_str("${");
            rest = behind;
            continue;
        }
        // None of the text is repeated: it may be a password that only looks like this.
        let Some((name, after)) = behind[kind.len() + 1..].split_once('}') else {
            return Err(wrong("a reference in the value is not closed by `}`"));
        };
        if name.is_empty() {
            return Err(wrong("a reference in the value names nothing"));
        }
        if kind.eq_ignore_ascii_case("ENV") {
            found.value.push_str(variable(name, environment)?);
            found.places.push(Place::Variable(name.to_owned()));
        } else if kind.eq_ignore_ascii_case("FILE") && files {
            found.value.push_str(&read(name)?);
            found.places.push(Place::File(name.to_owned()));
        } else if kind.eq_ignore_ascii_case("FILE") {
            return Err(wrong("the path of a file can't stand in another file"));
        } else {
            return Err(wrong("a reference in the value is neither to a file nor to a variable"));
        }
        rest = after;
    }
    found.value.push_str(rest);
    Ok(found)
}

fn variable<'e>(name: &str, environment: &'e [(OsString, OsString)]) -> Result<&'e str, Missing> {
    let missing = |what: &str| Missing {
        message: format!("the variable `{}` {what}", visible(name)),
        hint: VARIABLE,
    };
    let found = environment.iter().find(|(variable, _)| variable == name);
    let (_, value) = found.ok_or_else(|| missing("is not set"))?;
    match value.to_str() {
        Some("") => Err(missing("is empty")),
        Some(value) => Ok(value),
        None => Err(missing("is not valid UTF-8")),
    }
}

/// The text of a file, without the line end that editors and `echo` leave behind it.
fn read(path: &str) -> Result<String, Missing> {
    let missing = |reason: &str| Missing {
        message: format!("cannot read the file `{}`: {reason}", visible(path)),
        hint: FILE,
    };
    let io = |error: std::io::Error| missing(&error.to_string());
    if path.contains('\0') {
        return Err(missing("its name holds a NUL character"));
    }
    let file = std::fs::File::open(Path::new(path)).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(limits::SECRET_FILE_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limits::SECRET_FILE_MAX_BYTES {
        let max = limits::SECRET_FILE_MAX_BYTES / 1024;
        return Err(missing(&format!("it is larger than {max} KiB")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| missing("it is not valid UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(missing("it is empty"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value as it is found, with the places; what is missing as its message.
    fn found(name: &str, value: &str) -> Result<(String, String), String> {
        let environment: Vec<(OsString, OsString)> = [("USER", "kube"), ("NONE", "")]
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let (_, given) = Given::new(name, value.to_owned());
        match given.look_up(&environment) {
            Ok(Found { value, places }) => {
                let places: Vec<String> = places.iter().map(Place::to_string).collect();
                Ok((value, places.join(", ")))
            }
            Err(missing) => Err(missing.message),
        }
    }

    #[test]
    fn references_are_replaced_and_everything_else_is_left_alone() {
        let check = |value: &str, expected: &str, places: &str| {
            assert_eq!(found("p", value), Ok((expected.to_owned(), places.to_owned())), "{value}");
        };
        check("", "", "");
        check("plain", "plain", "");
        check("$ConnectionString", "$ConnectionString", "");
        check("a${b}c$", "a${b}c$", "");
        check("${", "${", "");
        check("${:x}", "${:x}", "");
        check("${ENV:USER}", "kube", "env USER");
        check("${env:USER}", "kube", "env USER");
        check("<${ENV:USER}|${ENV:USER}>", "<kube|kube>", "env USER, env USER");
        check("$${ENV:USER}", "${ENV:USER}", "");
        check("$$${ENV:USER}", "$${ENV:USER}", "");
        check("a$${b}", "a$${b}", "");
        check("ü${ENV:USER}ü", "ükubeü", "env USER");
    }

    #[test]
    fn wrong_references_are_told_without_the_value() {
        let check = |name: &str, value: &str, expected: &str| {
            assert_eq!(found(name, value), Err(expected.to_owned()), "{value}");
        };
        check("p", "hunter2${ENV:USER", "a reference in the value is not closed by `}`");
        check("p", "hunter2${ENV:}", "a reference in the value names nothing");
        let neither = "a reference in the value is neither to a file nor to a variable";
        check("p", "${FIEL:/hunter2}", neither);
        check("p", "${ENV:ABSENT}", "the variable `ABSENT` is not set");
        check("p", "${ENV:NONE}", "the variable `NONE` is empty");
        check("p_file", "${FILE:/a}", "the path of a file can't stand in another file");
        let absent = "cannot read the file `/no/such`: No such file or directory (os error 2)";
        check("p", "${FILE:/no/such}", absent);
        check("p_file", "/no/such", absent);
        check("p_file", "/", "cannot read the file `/`: Is a directory (os error 21)");
        check("p_file", "a\0b", "cannot read the file `a\\u{0}b`: its name holds a NUL character");
    }

    #[test]
    fn files_are_read_up_to_a_bound_and_without_their_line_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kube");
        let check = |content: &[u8], expected: Result<&str, &str>| {
            std::fs::write(&path, content).unwrap();
            let path = path.to_str().unwrap();
            let by_variable = format!("{}/${{ENV:USER}}", directory.path().display());
            let ways = [("p", format!("${{FILE:{path}}}")), ("p_file", path.to_owned())];
            for (name, value) in ways.into_iter().chain([("p_file", by_variable)]) {
                let reason = |message: String| message.rsplit(": ").next().unwrap().to_owned();
                let found = found(name, &value).map(|(value, _)| value).map_err(reason);
                let expected = expected.map(str::to_owned).map_err(str::to_owned);
                assert_eq!(found, expected, "{name}={value}");
            }
        };
        check(b"hunter2", Ok("hunter2"));
        check(b"hunter2\n", Ok("hunter2"));
        check(b"hunter2\r\n", Ok("hunter2"));
        check(b" two\nlines \n\n", Ok(" two\nlines \n"));
        check(b"${ENV:USER}", Ok("${ENV:USER}"));
        check(b"", Err("it is empty"));
        check(b"\n", Err("it is empty"));
        check(b"\xff", Err("it is not valid UTF-8"));
        let most = vec![b'x'; limits::SECRET_FILE_MAX_BYTES as usize];
        check(&most, Ok(std::str::from_utf8(&most).unwrap()));
        check(&[&most[..], b"x"].concat(), Err("it is larger than 64 KiB"));
    }
}
