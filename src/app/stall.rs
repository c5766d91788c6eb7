//! How long a reader of a log waits for brokers that give it nothing.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::clock;

/// So long nothing may come before it is given up.
pub const STALL_MAX: Duration = Duration::from_secs(60);
/// Pause before a place that could not be read is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// How long nothing has come.
pub struct Stall {
    since: Instant,
    first: Option<KafkaError>,
}

impl Stall {
    pub fn begin() -> Stall {
        Stall { since: clock::monotonic(), first: None }
    }

    /// Nothing has come, perhaps since something failed.
    ///
    /// # Errors
    /// Once it has been [`STALL_MAX`]: with what failed first, since what says least comes last,
    /// when everything has failed.
    pub fn check(&mut self, error: Option<KafkaError>) -> Result<(), KafkaError> {
        if let Some(error) = error {
            tracing::debug!(%error, "reading failed; trying again");
            self.first.get_or_insert(error);
        }
        if clock::monotonic() - self.since < STALL_MAX {
            return Ok(());
        }
        let silence = KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
        Err(self.first.take().unwrap_or(silence))
    }

    /// The same before what failed is tried again where it failed, in a while.
    pub fn check_again(&mut self, error: KafkaError) -> Result<(), KafkaError> {
        self.check(Some(error))?;
        thread::sleep(AGAIN_AFTER);
        Ok(())
    }
}
