//! The token that a client was given last, as far as it explains why the brokers refuse it.

use std::sync::{Mutex, PoisonError};

use rdkafka::client::OAuthToken;

/// Said where a token has ended before it is known why there is no other one.
const ENDED: &str = "the last one has ended, and no other one has come yet";

/// Of one client; of one that signs in by other means nothing is ever noted.
#[derive(Default)]
pub struct LastToken(Mutex<State>);

#[derive(Default)]
struct State {
    until_ms: Option<i64>,
    failure: Option<String>,
}

impl LastToken {
    /// What the client was given when it asked.
    pub fn note<E: ToString>(&self, given: &Result<OAuthToken, E>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match given {
            Ok(token) => *state = State { until_ms: Some(token.lifetime_ms), failure: None },
            Err(reason) => state.failure = Some(reason.to_string()),
        }
    }

    /// Why the client has no token that holds, if that is so: the brokers then refuse the old one, and can't
    /// know why.
    pub fn lack(&self, now_ms: i64) -> Option<String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_ended = state.until_ms.is_some_and(|until_ms| until_ms <= now_ms);
        state.failure.clone().or_else(|| has_ended.then(|| ENDED.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_until_there_is_a_token_again() {
        let last = LastToken::default();
        let given = |lifetime_ms| {
            let (token, principal_name) = (String::new(), String::new());
            Ok::<_, String>(OAuthToken { token, principal_name, lifetime_ms })
        };
        assert_eq!(last.lack(i64::MAX), None, "none was ever asked for");
        last.note(&given(1_000));
        assert_eq!(last.lack(999), None);
        assert_eq!(last.lack(1_000), Some(ENDED.to_owned()));
        last.note(&Err("away"));
        assert_eq!(last.lack(1_000), Some("away".to_owned()));
        last.note(&given(2_000));
        assert_eq!(last.lack(1_000), None);
    }
}
