//! The admin server of the service: what of the configuration it is made of, and its start.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crate::admin::{Facts, Watched, server};
use crate::app::run::{self, Role, RunError};
use crate::clock;
use crate::config::Config;
use crate::stats::Stats;

/// Serves metrics and health of `stats`, where the configuration wants it: before anything else
/// begins, so that a start that waits can be looked at. The address that it listens on.
///
/// # Errors
/// The address can't be had. One that the operator has not `asked` for is done without, and that is
/// said.
pub fn start(
    config: &Config,
    asked: bool,
    role: Role,
    stats: &Arc<Stats>,
) -> Result<Option<SocketAddr>, RunError> {
    let Some(listener) = listener(config, asked)? else { return Ok(None) };
    let failed = |error| RunError::Start { what: "the admin server", error };
    let address = listener.local_addr().map_err(failed)?;
    let facts = facts(config, role);
    let watched = Watched {
        stats: Arc::clone(stats),
        facts: Arc::new(facts),
        local: address.ip().is_loopback(),
        rates: Arc::default(),
    };
    run::spawn("admin", 0, move || server::run(listener, watched))?;
    tracing::info!(%address, "metrics and health are served");
    Ok(Some(address))
}

fn listener(config: &Config, asked: bool) -> Result<Option<TcpListener>, RunError> {
    let Some(address) = &config.admin.listen else { return Ok(None) };
    match server::bind(address) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if asked => Err(error.into()),
        Err(error) => {
            tracing::warn!("metrics and health are not served: {error}; {}", error.hint());
            Ok(None)
        }
    }
}

fn facts(config: &Config, role: Role) -> Facts {
    Facts {
        version: env!("CARGO_PKG_VERSION"),
        instance: run::instance_name(),
        role: role.as_str(),
        cluster: config.cluster.clone(),
        group: config.kafka.group_id.clone(),
        source_topics: config.source.topics.clone(),
        alerts_topic: config.alerts.topic.clone(),
        observations_topic: config.observations.topic.clone(),
        dead_letters_topic: config.dead_letters.topic.clone(),
        shows_alerts: config.admin.alerts,
        learning_ms: config.new_terms.learning_ms,
        started_ms: clock::now_ms(),
    }
}
