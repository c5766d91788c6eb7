//! The token that a client was given last, as far as it explains why the brokers refuse it.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::OAuthToken;

use super::held::{Held, LEFT_MIN_MS};

/// Said where a token has ended, and another one is held that the client has not asked for yet.
const ENDED: &str = "the last one has ended, and the next one is not in use yet";

/// Of one client; of one that signs in by other means nothing is ever noted.
#[derive(Default)]
pub struct LastToken(Mutex<State>);

#[derive(Default)]
struct State {
    until_ms: Option<i64>,
    /// Where it came from.
    held: Option<Arc<Held>>,
}

impl LastToken {
    /// What the client was given when it asked.
    pub(super) fn note(&self, held: &Arc<Held>, given: Option<&OAuthToken>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.held = Some(Arc::clone(held));
        if let Some(token) = given {
            state.until_ms = Some(token.lifetime_ms);
        }
    }

    /// Why the client has no token that the brokers take, as far as the token endpoint is the cause: the
    /// brokers then refuse the old one, and can't know why.
    pub fn lack(&self, now_ms: i64) -> Option<String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_ended = state.until_ms.is_some_and(|until_ms| until_ms - now_ms < LEFT_MIN_MS);
        let lack = state.held.as_ref().and_then(|held| held.lack(now_ms));
        lack.or_else(|| has_ended.then(|| ENDED.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    #[test]
    fn what_is_missing_is_told_of_the_endpoint_and_of_the_client() {
        let last = LastToken::default();
        assert_eq!(last.lack(i64::MAX), None, "none was ever asked for");
        let now_ms = clock::now_ms();
        let away = Arc::new(Held::new(|| Err("away".to_owned())));
        let given = away.ask(Duration::from_secs(60));
        last.note(&away, given.ok().as_ref());
        assert_eq!(last.lack(now_ms), Some("away".to_owned()));
        // The next one comes, but the client still has another one for a while.
        let token = |lifetime_ms| OAuthToken {
            token: "t".to_owned(),
            principal_name: "me".to_owned(),
            lifetime_ms,
        };
        let held = Arc::new(Held::new(move || Ok(token(now_ms + 3_600_000))));
        let fresh = held.ask(Duration::from_secs(60)).unwrap();
        last.note(&held, Some(&token(now_ms + 2_000)));
        assert_eq!(last.lack(now_ms), None);
        assert_eq!(last.lack(now_ms + 1_001), Some(ENDED.to_owned()));
        last.note(&held, Some(&fresh));
        assert_eq!(last.lack(now_ms + 1_001), None);
    }
}
