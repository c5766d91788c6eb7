//! `kubetell run`: the service.

use clap::{Args, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};

use std::sync::Arc;

use crate::app::reading::ReadingError;
use crate::app::rules::fingerprint;
use crate::app::run::{self as service, RunError};
use crate::app::watch;
use crate::clock;
use crate::config::Loaded;
use crate::failure::Remedy;
use crate::stats::Stats;
use crate::topics::{Report, TopicsError};

use super::args::ConfigArgs;
use super::context::Context;
use super::exit::Exit;
use super::{help, report, rule_files};

/// Runs the service: reads audit events from Kafka and raises alerts
#[derive(Debug, Clone, Args)]
#[command(after_help = help::RUN)]
pub struct RunArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Which half of the stream this process is
    #[arg(long, value_enum, default_value_t, value_name = "ROLE")]
    pub role: Role,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Both halves in one process
    #[default]
    All,
    /// From audit events to alerts of stateless rules and to observations
    Detect,
    /// From observations to alerts of new-terms rules
    FirstSeen,
}

pub fn run(args: &RunArgs, context: &Context) -> Exit {
    match context.load_config(&args.config) {
        Ok(loaded) => serve(&loaded, args.role, context),
        Err(exit) => exit,
    }
}

/// The service itself, until a signal ends it.
fn serve(loaded: &Loaded, role: Role, _context: &Context) -> Exit {
    let config = &loaded.config;
    let listen_is_asked = !loaded.provenance.is_default("admin.listen");
    let (own, exceptions) = (&config.rules, &config.exceptions);
    // First: what changes while they are read is read again.
    let fingerprint = fingerprint(own, exceptions);
    let loaded = rule_files::loaded(own, exceptions, &config.enabled_rules, Exit::Internal);
    let rules = match loaded {
        Ok(rules) => Arc::new(rules),
        Err(exit) => return exit,
    };
    for warning in rules.exception_warnings(clock::now_ms()) {
        tracing::warn!("{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::error(format_args!("the runtime could not be started: {error}"), None);
            return Exit::Internal;
        }
    };
    let role = match role {
        Role::All => service::Role::All,
        Role::Detect => service::Role::Detect,
        Role::FirstSeen => service::Role::FirstSeen,
    };
    let rules = service::Loaded { set: rules, fingerprint };
    let stats = Arc::default();
    let served = watch::start(config, listen_is_asked, role, &stats)
        .and_then(|_| start_and_serve(config, &rules, role, stats, &runtime));
    match served {
        Ok(()) => {
            tracing::info!("stopped: what was read is drained");
            Exit::Done
        }
        Err(error) => failed(&error),
    }
}

fn start_and_serve(
    config: &crate::config::Config,
    loaded: &service::Loaded,
    role: service::Role,
    stats: Arc<Stats>,
    runtime: &tokio::runtime::Runtime,
) -> Result<(), RunError> {
    let rules = &loaded.set;
    // From here on a wish to read the rules again is kept until there is somebody to do it, and ends
    // no process.
    let hangup = {
        let _entered = runtime.enter();
        signal(SignalKind::hangup())
            .map_err(|error| RunError::Start { what: "the signal handler", error })?
    };
    let topics = service::prepare_topics(config, rules)?;
    let (sources, observations) = partitions(&topics);
    tracing::info!("{}", service::learning_text(config, rules, clock::now()));
    let ids: Vec<&str> = rules.rules().iter().map(|rule| rule.id()).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        role = role.as_str(),
        rules = ids.join(","),
        exceptions = rules.exceptions().iter().count(),
        group = config.kafka.group_id,
        source = config.source.topics.join(","),
        alerts = config.alerts.topic,
        observations = config.observations.topic,
        state = %config.state.directory.display(),
        "kubetell starts"
    );
    runtime.block_on(async {
        // Until here a signal ends the process at once, as it does by default: nothing has begun.
        // From here on it is kept until the halves run, and then they drain.
        let stopped =
            stop_signal().map_err(|error| RunError::Start { what: "the signal handler", error })?;
        let running = service::start(config, loaded.clone(), role, &sources, observations, stats)?;
        reload_on_hangup(hangup, running.reload());
        running.until(stopped).await
    })
}

/// Resolves at the first SIGTERM or SIGINT. A second one ends the process at once.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: draining what is under way");
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::warn!("stopped at once; what was not committed will be read again");
            std::process::exit(i32::from(Exit::Partial.code()));
        });
    })
}

/// From here on each SIGHUP has the rules read again; in a process that asks none it says so.
fn reload_on_hangup(mut hangup: Signal, reload: Option<service::Reload>) {
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match &reload {
                Some(reload) => reload.ask(),
                None => tracing::info!("this half asks no rules: nothing is read again"),
            }
        }
    });
}

/// The source topics with their partition counts, and the observations topic's count.
fn partitions(topics: &Report) -> (Vec<(String, usize)>, u32) {
    let of_role = |role: &'static str| {
        topics
            .topics
            .iter()
            .filter(move |topic| topic.role == role)
            .map(|topic| (topic.name.clone(), topic.partitions.unwrap_or(0)))
    };
    let observations = of_role("observations").next().map_or(1, |(_, count)| count);
    (of_role("source").collect(), u32::try_from(observations).unwrap_or(1))
}

/// Says why the service did not start or ended by itself, and what to do.
fn failed(error: &RunError) -> Exit {
    if let RunError::Topics(error) = error {
        return topics_failed(error);
    }
    let (remedy, hint) = error.remedy();
    report::error(error, Some(&hint));
    exit_of(remedy)
}

fn exit_of(remedy: Remedy) -> Exit {
    match remedy {
        Remedy::Restart => Exit::Internal,
        Remedy::Configure => Exit::Configuration,
        Remedy::Brokers => Exit::Unreachable,
    }
}

/// Says what is wrong with the brokers or the topics; also for other commands.
pub(super) fn topics_failed(error: &TopicsError) -> Exit {
    match error {
        TopicsError::Problems(problems) => {
            for problem in problems {
                report::error(&problem.message, Some(&problem.hint));
            }
        }
        TopicsError::Unreachable { .. } | TopicsError::Client(_) => {
            report::error(error, error.hints().first().map(String::as_str));
        }
    }
    exit_of(error.remedy())
}

/// Says why the source topics could not be read by a command that joins no group.
pub(super) fn reading_failed(error: &ReadingError) -> Exit {
    match error {
        ReadingError::Topics(error) => topics_failed(error),
        ReadingError::Lost { .. } | ReadingError::Shrunk { .. } => {
            report::error(error, Some("nothing is harmed; run the command again"));
            Exit::Unreachable
        }
        ReadingError::Client(_) => {
            report::error(error, Some("see `kafka.properties` in the configuration"));
            Exit::Configuration
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Class, Doing};
    use crate::ingest::kafka::HalfError;
    use crate::terms::store::open::OpenError;
    use crate::topics::Problem;
    use rdkafka::error::KafkaError;
    use rdkafka::types::RDKafkaErrorCode;

    #[test]
    fn every_fatal_error_says_what_to_do_and_has_its_exit_code() {
        let check = |error: RunError, exit: Exit| {
            let (remedy, hint) = error.remedy();
            assert_eq!(error.class(), Class::Fatal);
            assert_eq!(exit_of(remedy), exit, "{error}");
            assert!(!error.to_string().is_empty() && !error.to_string().ends_with('.'), "{error}");
            assert!(hint.len() > 20 && !hint.ends_with('.'), "{error}: {hint}");
        };
        let half = |error: HalfError| RunError::Half { half: "detect", error };
        let kafka = || KafkaError::ClientCreation("no such property".to_owned());
        let directory = || std::path::PathBuf::from("/state");
        let refused = |code| {
            half(HalfError::Refused {
                doing: Doing::Producing,
                what: "to `alerts`".to_owned(),
                code,
            })
        };
        let problem = Problem {
            message: "the topic `a` does not exist".to_owned(),
            hint: "run `kubetell topics create`".to_owned(),
        };
        check(RunError::Topics(TopicsError::Problems(vec![problem])), Exit::Configuration);
        let waited = crate::topics::CONNECT_MAX;
        let (servers, reason) = ("a:1".into(), "r".into());
        let unreachable = TopicsError::Unreachable { servers, waited, reason };
        check(RunError::Topics(unreachable), Exit::Unreachable);
        check(RunError::Topics(TopicsError::Client(kafka())), Exit::Configuration);
        check(RunError::State(OpenError::Locked(directory())), Exit::Configuration);
        let unusable = OpenError::Unusable { directory: directory(), reason: "full".to_owned() };
        check(RunError::State(unusable), Exit::Configuration);
        let full = OpenError::Full { directory: directory(), reason: "no space left".to_owned() };
        check(RunError::State(full), Exit::Internal);
        check(RunError::Client(kafka()), Exit::Configuration);
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for address in [taken.local_addr().unwrap().to_string(), "nowhere".into()] {
            let error = crate::admin::server::bind(&address).unwrap_err();
            check(RunError::Listen(error), Exit::Configuration);
        }
        check(
            RunError::Start { what: "detect", error: std::io::Error::other("no threads") },
            Exit::Internal,
        );
        check(RunError::Undrained, Exit::Internal);
        check(half(HalfError::Undrained), Exit::Internal);
        let (message, hint) = ("the disk is full".to_owned(), "make room on the disk of the state");
        check(half(HalfError::State { message, hint }), Exit::Internal);
        check(half(HalfError::Producer("fenced".to_owned())), Exit::Internal);
        check(half(HalfError::Consumer(kafka())), Exit::Internal);
        check(half(HalfError::Internal("its thread panicked".to_owned())), Exit::Internal);
        let (message, hint) =
            ("no right to `a`".to_owned(), "grant `Write` on the topic".to_owned());
        check(half(HalfError::Configuration { message, hint }), Exit::Configuration);
        check(refused(RDKafkaErrorCode::TopicAuthorizationFailed), Exit::Configuration);
        check(refused(RDKafkaErrorCode::UnsupportedVersion), Exit::Configuration);
        check(refused(RDKafkaErrorCode::Inconsistent), Exit::Internal);
    }
}
