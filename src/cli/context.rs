//! What a command knows of the process it runs in.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use crate::alert::redact::Redaction;
use crate::app::rules;
use crate::config::{self, Inputs, Loaded};
use crate::ingest::envelope::Wrapper;

use super::args::{ConfigArgs, SettingText};
use super::exit::Exit;
use super::{report, rule_files};

/// Read once at start, so that a command's behaviour is a function of its arguments and this.
#[derive(Clone, Default)]
pub struct Context {
    pub environment: Vec<(OsString, OsString)>,
    pub stdin_is_terminal: bool,
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
}

impl Context {
    pub fn of_process() -> Context {
        Context {
            environment: std::env::vars_os().collect(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// A variable that is set, not empty and UTF-8.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let (_, value) = self.environment.iter().find(|(variable, _)| variable == name)?;
        value.to_str().filter(|value| !value.is_empty())
    }

    /// The file that the environment names; an empty variable is as good as none.
    fn config_file(&self) -> Option<PathBuf> {
        let named = |(name, value): &&(OsString, OsString)| {
            name == config::ENVIRONMENT_CONFIG && !value.is_empty()
        };
        self.environment.iter().find(named).map(|(_, value)| PathBuf::from(value))
    }

    /// Loads the configuration and tells the user its notes.
    ///
    /// # Errors
    /// All problems have been reported; the exit code is what is left to return.
    pub fn load_config(&self, args: &ConfigArgs) -> Result<Loaded, Exit> {
        let settings = match args.set.iter().map(SettingText::parse).collect() {
            Ok(settings) => settings,
            Err(error) => {
                report::error(format_args!("--set: {error}"), None);
                return Err(Exit::Usage);
            }
        };
        let file = args.config.clone().or_else(|| self.config_file());
        let inputs = Inputs { file, environment: self.environment.clone(), settings };
        match config::load(&inputs) {
            Ok(loaded) => {
                loaded.notes.iter().for_each(report::note);
                check_wrapper(&loaded)?;
                check_redaction(&loaded)?;
                check_rules(&loaded)?;
                Ok(loaded)
            }
            Err(errors) => {
                for problem in &errors.problems {
                    report::error(problem, problem.kind.hint().as_deref());
                }
                if errors.omitted > 0 {
                    report::error(format_args!("and {} more", errors.omitted), None);
                }
                Err(Exit::Configuration)
            }
        }
    }
}

/// The configuration does not know the rules.
fn check_rules(loaded: &Loaded) -> Result<(), Exit> {
    let config = &loaded.config;
    let loaded = rules::load_excepting(&config.rules, &config.exceptions, &config.enabled_rules);
    loaded.map(drop).map_err(|error| rule_files::refused(&error, Exit::Configuration))
}

/// The configuration does not compile patterns.
fn check_redaction(loaded: &Loaded) -> Result<(), Exit> {
    let alerts = &loaded.config.alerts;
    Redaction::compile(alerts.redact_defaults, &alerts.redact).map(drop).map_err(|error| {
        let hint = "the syntax is that of the `regex` crate";
        report::error(format_args!("`alerts.redact`: {error}"), Some(hint));
        Exit::Configuration
    })
}

/// The configuration does not know the wrappers' names; the reader of records does.
fn check_wrapper(loaded: &Loaded) -> Result<(), Exit> {
    let Some(name) = &loaded.config.source.wrapper else { return Ok(()) };
    if Wrapper::from_name(name).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = Wrapper::ALL.iter().map(|wrapper| wrapper.as_str()).collect();
    let hint = format!(
        "leave it out to have wrappers told apart by content, or use one of {}",
        names.join(", ")
    );
    report::error(format_args!("`source.wrapper`: there is no wrapper {name:?}"), Some(&hint));
    Err(Exit::Configuration)
}
