//! What functions of the languages' standard libraries make of known values.
//!
//! Functions that several languages share under one name stand together; where names clash, the
//! language decides. Sources: the languages' library references.

use super::Language;
use super::codec;
use super::elements::Elements;
use super::fold::Folder;
use super::value::{Value, bytes_of, from_bytes};
use crate::audit::shell::text::Step;

/// Constants that are part of paths.
pub(super) fn constant(language: Language, name: &str) -> Option<&'static str> {
    const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
    const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    Some(match (language, name) {
        (Language::Python, "os.sep" | "os.path.sep" | "posixpath.sep" | "sep")
        | (Language::Node, "path.sep" | "path.posix.sep")
        | (Language::Ruby, "File.SEPARATOR" | "File.Separator" | "SEPARATOR")
        | (Language::Php, "DIRECTORY_SEPARATOR") => "/",
        (Language::Python, "os.pardir") => "..",
        (Language::Python, "os.curdir") => ".",
        (Language::Python, "os.extsep") => ".",
        (Language::Python, "string.ascii_lowercase" | "ascii_lowercase") => LOWER,
        (Language::Python, "string.ascii_uppercase" | "ascii_uppercase") => UPPER,
        (Language::Python, "string.ascii_letters" | "ascii_letters") => LETTERS,
        (Language::Python, "string.digits") => "0123456789",
        (Language::Python, "string.punctuation") => "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
        (Language::Python, "__name__") => "__main__",
        _ => return None,
    })
}

/// Functions that take one operand without parentheses.
pub(super) fn is_unary_operator(language: Language, name: &str) -> bool {
    language == Language::Perl
        && matches!(
            name,
            "chr"
                | "ord"
                | "lc"
                | "uc"
                | "lcfirst"
                | "ucfirst"
                | "fc"
                | "hex"
                | "oct"
                | "length"
                | "quotemeta"
                | "scalar"
                | "glob"
                | "chdir"
                | "shift"
                | "pop"
                | "eval"
                | "require"
                | "readpipe"
                | "int"
                | "abs"
        )
}

/// Functions that take all that follows without parentheses.
pub(super) fn is_list_operator(language: Language, name: &str) -> bool {
    match language {
        Language::Perl => matches!(
            name.rsplit("::").next().unwrap_or(name),
            "join"
                | "pack"
                | "unpack"
                | "sprintf"
                | "reverse"
                | "map"
                | "grep"
                | "sort"
                | "split"
                | "substr"
                | "system"
                | "exec"
                | "open"
                | "sysopen"
                | "decode_base64"
                | "first"
                | "uri_unescape"
                | "opendir"
                | "catfile"
        ),
        Language::Ruby => matches!(
            name,
            "system"
                | "exec"
                | "spawn"
                | "open"
                | "eval"
                | "sprintf"
                | "format"
                | "syscall"
                | "send"
                | "printf"
        ),
        _ => false,
    }
}

impl Folder {
    /// A function by its name; `module` is the last part of what stands before it, if anything.
    pub fn function(&mut self, module: &str, name: &str, arguments: &Elements) -> Option<Value> {
        let default = if self.language == Language::Perl && arguments.values.is_empty() {
            self.variable("$_").map(|value| Elements::of(vec![value]))
        } else {
            None
        };
        let arguments = default.as_ref().unwrap_or(arguments);
        self.shared_function(module, name, arguments).or_else(|| match self.language {
            Language::Python => self.python_function(module, name, arguments),
            Language::Perl => self.perl_function(name, arguments),
            Language::Ruby => self.ruby_function(module, name, arguments),
            Language::Node => self.node_function(module, name, arguments),
            Language::Php => self.php_function(name, arguments),
            Language::Lua => self.lua_function(module, name, arguments),
            Language::Awk => self.awk_function(name, arguments),
        })
    }

    /// Names that mean the same wherever they occur.
    fn shared_function(&mut self, module: &str, name: &str, given: &Elements) -> Option<Value> {
        let values = &given.values;
        let first = values.first();
        Some(match name {
            "chr" | "unichr" | "mb_chr" => self.character(first?),
            "ord" | "mb_ord" => self.code_point(first?),
            "sprintf" | "format" if first.is_some() && self.language != Language::Python => {
                self.formatted(first?, values.get(1..)?, &given.named)
            }
            "b64decode" | "standard_b64decode" | "urlsafe_b64decode" | "decodebytes"
            | "decodestring" | "a2b_base64" | "base64_decode" | "decode_base64"
            | "decode_base64url" | "decode64" | "strict_decode64" | "urlsafe_decode64"
            | "encoded_base64" | "atob" | "sodium_base642bin" => {
                self.decoded(first?, Step::Base64, |t| Some(from_bytes(&codec::base64(t))))
            }
            "b32decode" => {
                self.decoded(first?, Step::Base32, |t| Some(from_bytes(&codec::base32(t))))
            }
            "b85decode" | "a85decode" => {
                let ascii = name == "a85decode";
                self.decoded(first?, Step::Base64, |text| {
                    codec::base85(text, ascii).map(|bytes| from_bytes(&bytes))
                })
            }
            "unhexlify" | "a2b_hex" | "b16decode" | "fromhex" | "hex2bin" | "sodium_hex2bin" => {
                self.decoded(first?, Step::Hex, |t| Some(from_bytes(&codec::hex(t)?)))
            }
            "str_rot13" => self.decoded(first?, Step::Filter, |text| Some(codec::rot13(text))),
            "decompress" if matches!(module, "bz2" | "lzma") => self.hidden(first?),
            "decompress" | "gzinflate" | "gzuncompress" | "gzdecode" | "zlib_decode"
            | "inflate" | "gunzip" | "uncompress" | "memGunzip" | "inflateSync" | "gunzipSync"
            | "unzipSync" | "inflateRawSync" => self.decoded(first?, Step::Decompressed, |text| {
                Some(from_bytes(&codec::inflate(&bytes_of(text))?))
            }),
            "bzdecompress" | "brotliDecompressSync" | "unserialize" => self.hidden(first?),
            "loads" if matches!(module, "marshal" | "pickle") => self.hidden(first?),
            "unquote"
            | "unquote_plus"
            | "urldecode"
            | "rawurldecode"
            | "uri_unescape"
            | "decodeURIComponent"
            | "decodeURI"
            | "unescape"
            | "decode_www_form_component"
            | "unescapeURIComponent" => {
                let plus =
                    matches!(name, "unquote_plus" | "urldecode" | "decode_www_form_component");
                self.decoded(first?, Step::PercentDecoded, |t| Some(codec::percent(t, plus)))
            }
            "pack" => {
                let format = first?.as_str()?.to_owned();
                self.spend(values.len());
                let packed = codec::pack(&format, values.get(1..)?)?;
                let steps =
                    values.iter().fold(Default::default(), |steps, value| value.steps().and(steps));
                let steps = if format.contains(['H', 'h']) { steps.with(Step::Hex) } else { steps };
                Value::built(packed, steps)
            }
            "unpack" if values.len() == 2 => {
                let text = values.get(1)?.as_str()?.to_owned();
                self.spend(1 + text.len() / 2);
                Value::list(codec::unpack(first?.as_str()?, &text)?)
            }
            "chdir" => {
                let directory = first?.text();
                self.emit(first?);
                self.directory = (!directory.as_str().is_empty()).then_some(directory);
                Value::UNKNOWN
            }
            "glob" | "iglob" | "bsd_glob" => {
                for value in values {
                    self.emit(&Value::Text(value.text().activated()));
                }
                Value::UNKNOWN
            }
            "eval" | "exec" | "instance_eval" | "class_eval" | "assert" | "loadstring" | "load"
            | "runInThisContext" | "runInNewContext" | "Function" | "create_function"
            | "setTimeout" | "setInterval" | "execfile"
                if self.evaluates(name) =>
            {
                // `new Function('a', 'code')`: the code is last.
                let last = matches!(name, "Function" | "create_function");
                let code = if last { values.last()? } else { first? };
                match code {
                    Value::Text(_) | Value::Unknown(_) => self.eval(&code.text()),
                    _ => return None,
                }
            }
            "require" | "__import__" | "import_module" | "getBuiltinModule" => {
                let module = first?.as_str()?;
                let module = module.strip_prefix("node:").unwrap_or(module);
                if module.contains('/') || module.len() > 64 {
                    return None;
                }
                Value::name(module)
            }
            _ => return None,
        })
    }

    fn evaluates(&self, name: &str) -> bool {
        match self.language {
            Language::Python => matches!(name, "eval" | "exec"),
            Language::Perl => name == "eval",
            Language::Ruby => matches!(name, "eval" | "instance_eval" | "class_eval"),
            Language::Node => matches!(
                name,
                "eval"
                    | "Function"
                    | "setTimeout"
                    | "setInterval"
                    | "runInThisContext"
                    | "runInNewContext"
            ),
            Language::Php => matches!(name, "eval" | "assert" | "create_function"),
            Language::Lua => matches!(name, "load" | "loadstring"),
            Language::Awk => false,
        }
    }

    /// Decoded by something that is not followed.
    pub fn hidden(&mut self, value: &Value) -> Value {
        Value::Unknown(value.steps().with(Step::UnknownDecoded))
    }

    pub fn character(&mut self, value: &Value) -> Value {
        match value.as_code().and_then(char::from_u32) {
            Some(character) => Value::built(character.to_string(), value.steps()),
            None => Value::Unknown(value.steps()),
        }
    }

    pub fn code_point(&mut self, value: &Value) -> Value {
        let first = match value {
            Value::Text(text) => text.as_literal().and_then(|text| text.chars().next()),
            _ => None,
        };
        match (first, value) {
            (Some(character), _) => Value::Int(i64::from(u32::from(character))),
            (None, Value::Int(code)) => Value::Int(*code),
            _ => Value::UNKNOWN,
        }
    }

    /// A function applied to each element.
    pub fn each(&mut self, function: &Value, list: &Value) -> Option<Value> {
        let items = self.items(list)?;
        let mut results = Vec::new();
        for item in items {
            if !self.spend(4) {
                break;
            }
            results.push(self.apply(function, vec![item]));
        }
        Some(Value::list(results))
    }

    /// A function applied to a result and each element in turn.
    pub fn reduced(
        &mut self,
        function: &Value,
        list: &Value,
        from: Option<&Value>,
    ) -> Option<Value> {
        let mut items = self.items(list)?.into_iter();
        let mut result = match from {
            Some(value) => value.clone(),
            None => items.next()?,
        };
        for item in items {
            if !self.spend(4) {
                break;
            }
            result = match function {
                Value::Text(operator) if operator.as_str() == "+" => self.binary("+", result, item),
                other => self.apply(other, vec![result, item]),
            };
        }
        Some(result)
    }

    pub fn reversed(&mut self, value: &Value) -> Value {
        match value {
            Value::List(values) => {
                self.spend(values.len() / 4);
                Value::list(values.iter().rev().cloned().collect())
            }
            Value::Text(text) => match text.as_literal() {
                Some(literal) => {
                    self.spend(literal.len() / 16);
                    let reversed: String = literal.chars().rev().collect();
                    Value::built(reversed, text.steps)
                }
                None => Value::UNKNOWN,
            },
            _ => Value::UNKNOWN,
        }
    }

    fn ruby_function(&mut self, module: &str, name: &str, given: &Elements) -> Option<Value> {
        let values = &given.values;
        let first = values.first();
        Some(match name {
            "String" | "Array" | "Pathname" | "expand_path" | "absolute_path" | "realpath" => {
                if name == "expand_path" && values.len() > 1 {
                    let base = values.get(1)?.clone();
                    return Some(self.joined_path(&[base, first?.clone()]));
                }
                first?.clone()
            }
            "new" if matches!(module, "Pathname" | "String" | "StringIO") => first?.clone(),
            "Integer" => Value::Int(first?.as_int()?),
            "join" => self.joined_path(values),
            "decode" if module == "Base64" => {
                self.decoded(first?, Step::Base64, |t| Some(from_bytes(&codec::base64(t))))
            }
            "open" | "read" | "readlines" | "foreach" | "binread" | "popen" | "write" => {
                let text = first?.text();
                let command = text.as_str().strip_prefix('|')?;
                let from = text.len() - command.len();
                self.tell_shell(text.slice(from, text.len()));
                Value::UNKNOWN
            }
            "send" | "public_send" | "__send__" => {
                let method = first?.as_str()?.to_owned();
                self.call(None, &method, Elements::of(values.get(1..)?.to_vec()))
            }
            "method" | "const_get" => Value::name(first?.as_str()?),
            "loop" | "begin" | "puts" | "print" | "p" => return None,
            _ => return None,
        })
    }

    fn node_function(&mut self, module: &str, name: &str, given: &Elements) -> Option<Value> {
        let values = &given.values;
        let first = values.first();
        Some(match name {
            "fromCharCode" | "fromCodePoint" => Value::Text(self.bytes_of_list(values)),
            "from" | "of" if module == "Buffer" || module.ends_with("Array") => {
                let encoding = values.get(1).and_then(Value::as_str).unwrap_or("");
                match (encoding, first?) {
                    ("base64" | "base64url", value) => {
                        self.decoded(value, Step::Base64, |t| Some(from_bytes(&codec::base64(t))))
                    }
                    ("hex", value) => {
                        self.decoded(value, Step::Hex, |t| Some(from_bytes(&codec::hex(t)?)))
                    }
                    (_, _) if name == "of" => Value::list(values.clone()),
                    (_, Value::Text(_)) if module.ends_with("Array") => {
                        let items = Value::list(self.items(first?)?);
                        match values.get(1) {
                            Some(function @ Value::Function(_)) => {
                                self.each(&function.clone(), &items)?
                            }
                            _ => items,
                        }
                    }
                    (_, list @ Value::List(_)) => match values.get(1) {
                        Some(function @ Value::Function(_)) => {
                            self.each(&function.clone(), list)?
                        }
                        _ if module == "Buffer" => {
                            let Value::List(items) = list else { return None };
                            Value::Text(self.bytes_of_list(items))
                        }
                        _ => list.clone(),
                    },
                    (_, value @ Value::Text(_)) => value.clone(),
                    _ => return None,
                }
            }
            "Buffer" => match first? {
                Value::List(values) => Value::Text(self.bytes_of_list(values)),
                _ => return self.node_function("Buffer", "from", given),
            },
            "Uint8Array" | "Uint16Array" | "Int8Array" => first?.clone(),
            "Array" if values.len() > 1 => Value::list(values.clone()),
            "String" => match first? {
                Value::Int(number) => Value::built(number.to_string(), Default::default()),
                value => value.clone(),
            },
            "Number" => Value::Int(first?.as_int()?),
            "parseInt" => match values.get(1).and_then(Value::as_int) {
                Some(radix) => based(first?, radix)?,
                None => match first?.as_str() {
                    Some(text) if text.starts_with("0x") => based(first?, 16)?,
                    _ => Value::Int(first?.as_int()?),
                },
            },
            "join" | "resolve" | "normalize" => self.joined_path(values),
            "raw" if module == "String" => first?.clone(),
            "fileURLToPath" | "URL" | "pathToFileURL" => return None,
            "import" => Value::name(first?.as_str()?),
            _ => return None,
        })
    }

    fn lua_function(&mut self, module: &str, name: &str, given: &Elements) -> Option<Value> {
        let values = &given.values;
        let first = values.first();
        Some(match name {
            "char" => {
                let items = self.flattened(values);
                Value::Text(self.bytes_of_list(&items))
            }
            "concat" => {
                let Value::List(items) = first? else { return None };
                let separator = values.get(1).map(Value::text).unwrap_or_default();
                Value::Text(self.joined(items, separator.as_str()))
            }
            "unpack" | "ipairs" | "pairs" => first?.clone(),
            "tostring" => match first? {
                Value::Int(number) => Value::built(number.to_string(), Default::default()),
                value => value.clone(),
            },
            "tonumber" => match values.get(1).and_then(Value::as_int) {
                Some(radix) => based(first?, radix)?,
                None => Value::Int(first?.as_int()?),
            },
            _ if matches!(module, "string" | "utf8") => {
                return self.method(first?, name, &Elements::of(values.get(1..)?.to_vec()));
            }
            _ => return None,
        })
    }
}

/// A number written in another base.
pub(super) fn based(value: &Value, radix: i64) -> Option<Value> {
    let radix = u32::try_from(radix).ok().filter(|radix| (2..=36).contains(radix))?;
    let text = match value {
        Value::Int(number) => number.to_string(),
        other => other.as_str()?.trim().to_owned(),
    };
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0o"))
        .or_else(|| text.strip_prefix("0b").filter(|_| radix == 2))
        .unwrap_or(&text);
    let length = digits.chars().take_while(|digit| digit.is_digit(radix)).count();
    Some(Value::Int(i64::from_str_radix(digits.get(..length)?, radix).ok()?))
}
