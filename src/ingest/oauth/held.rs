//! The token that is held, and the one request for another that is under way.
//!
//! Whoever asks never makes the request: it is made on a thread of its own, which nobody waits for at
//! the end of the process. Knows nothing of what it asks for a token.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::OAuthToken;

use crate::clock;

/// After this share of its life, in percent, another one is asked for. The client library asks after
/// 80: at the latest then the request begins, while the old one still holds.
const FRESH_PERCENT: i64 = 75;
/// A token that holds less long is not handed over.
pub(super) const LEFT_MIN_MS: i64 = 1_000;
/// How long no request follows one that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Said where nothing is held and nothing is known yet.
const UNANSWERED: &str = "the token endpoint has not answered yet";

type Fetch = dyn Fn() -> Result<OAuthToken, String> + Send + Sync;

pub struct Held {
    fetch: Box<Fetch>,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    is_fetching: bool,
    /// Of the last request, if it failed.
    failure: Option<Failure>,
    /// How many requests have come to their end.
    requests: u64,
}

struct Failure {
    reason: String,
    at: Instant,
}

struct Token {
    value: String,
    principal: String,
    since_ms: i64,
    until_ms: i64,
}

impl Token {
    fn is_fresh(&self, now_ms: i64) -> bool {
        let (age, life) = (now_ms - self.since_ms, self.until_ms - self.since_ms);
        // A clock that was set back says nothing of the age.
        age >= 0 && age * 100 < life * FRESH_PERCENT
    }

    fn holds(&self, now_ms: i64) -> bool {
        self.until_ms - now_ms >= LEFT_MIN_MS
    }

    fn to_hand_over(&self) -> OAuthToken {
        OAuthToken {
            token: self.value.clone(),
            principal_name: self.principal.clone(),
            lifetime_ms: self.until_ms,
        }
    }
}

impl Held {
    pub fn new(fetch: impl Fn() -> Result<OAuthToken, String> + Send + Sync + 'static) -> Held {
        Held { fetch: Box::new(fetch), state: Mutex::default(), ended: Condvar::new() }
    }

    /// The token that is held, at once, even while another one is asked for; where none is, the next
    /// one, if it comes in time.
    ///
    /// # Errors
    /// In words, why there is none.
    pub fn ask(self: &Arc<Self>, wait: Duration) -> Result<OAuthToken, String> {
        let until = clock::monotonic() + wait;
        let mut state = self.state();
        let asked_at = state.requests;
        loop {
            let (now, now_ms) = (clock::monotonic(), clock::now_ms());
            let held = state.token.as_ref();
            if let Some(fresh) = held.filter(|token| token.is_fresh(now_ms)) {
                return Ok(fresh.to_hand_over());
            }
            let old = held.filter(|token| token.holds(now_ms)).map(Token::to_hand_over);
            let rests = state.failure.as_ref().is_some_and(|failure| now < failure.at + PAUSE);
            let is_answered = state.requests != asked_at;
            if !state.is_fetching && !rests && !is_answered {
                self.begin(&mut state);
            }
            let is_over = rests || is_answered || !state.is_fetching || now >= until;
            match (old, &state.failure) {
                (Some(old), _) => return Ok(old),
                (None, Some(failure)) if is_over => return Err(failure.reason.clone()),
                (None, None) if is_over => return Err(UNANSWERED.to_owned()),
                (None, _) => {}
            }
            let left = until.saturating_duration_since(now);
            let waited = self.ended.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Why there is no token that was got in time, while there is none.
    pub fn lack(&self, now_ms: i64) -> Option<String> {
        let state = self.state();
        let held = state.token.as_ref();
        if held.is_some_and(|token| token.is_fresh(now_ms)) {
            return None;
        }
        let holds = held.is_some_and(|token| token.holds(now_ms));
        let failure = state.failure.as_ref().map(|failure| failure.reason.clone());
        failure.or_else(|| (!holds).then(|| UNANSWERED.to_owned()))
    }

    fn begin(self: &Arc<Self>, state: &mut State) {
        let held = Arc::clone(self);
        let thread = std::thread::Builder::new().name("token".to_owned());
        match thread.spawn(move || held.request()) {
            Ok(_) => state.is_fetching = true,
            Err(error) => state.failed(format!("no thread for a token: {error}")),
        }
    }

    fn request(&self) {
        let since_ms = clock::now_ms();
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| (self.fetch)()));
        let result = result.unwrap_or_else(|_| Err("the token could not be fetched".to_owned()));
        let mut state = self.state();
        state.is_fetching = false;
        state.requests += 1;
        match result {
            Ok(token) if token.lifetime_ms <= clock::now_ms() => {
                state.failed("the token endpoint gives a token that has ended".to_owned());
            }
            Ok(OAuthToken { token, principal_name, lifetime_ms }) => {
                state.failure = None;
                state.token = Some(Token {
                    value: token,
                    principal: principal_name,
                    since_ms,
                    until_ms: lifetime_ms,
                });
            }
            Err(reason) => state.failed(reason),
        }
        drop(state);
        self.ended.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn failed(&mut self, reason: String) {
        self.failure = Some(Failure { reason, at: clock::monotonic() });
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, Sender, bounded};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// An endpoint that says when it is asked and answers when it is told what, a token by its
    /// number and life in milliseconds.
    struct Endpoint {
        asked: Receiver<()>,
        answers: Sender<Result<(u32, i64), &'static str>>,
    }

    fn endpoint() -> (Arc<Held>, Endpoint) {
        let ((says, asked), (answers, told)) = (bounded(8), bounded(8));
        let fetch = move || {
            says.send(()).unwrap();
            let answer: Result<(u32, i64), &str> = told.recv().unwrap();
            let (number, life_ms) = answer.map_err(str::to_owned)?;
            Ok(OAuthToken {
                token: number.to_string(),
                principal_name: "me".to_owned(),
                lifetime_ms: clock::now_ms() + life_ms,
            })
        };
        (Arc::new(Held::new(fetch)), Endpoint { asked, answers })
    }

    fn told(held: &Arc<Held>, wait: Duration) -> Result<String, String> {
        held.ask(wait).map(|token| token.token)
    }

    /// As if so much time had passed.
    fn age(held: &Arc<Held>, ms: i64) {
        let mut state = held.state();
        let token = state.token.as_mut().unwrap();
        token.since_ms -= ms;
        token.until_ms -= ms;
    }

    /// As if the last request had failed just now, or so long ago that another one may follow.
    fn rests(held: &Arc<Held>, rests: bool) {
        let now = clock::monotonic();
        held.state().failure.as_mut().unwrap().at = if rests { now + LONG } else { now - PAUSE };
    }

    /// Until the request that is under way has come to its end.
    fn ends(held: &Arc<Held>, requests: u64) {
        let state = held.state();
        let under_way = |state: &mut State| state.requests < requests;
        let (_state, waited) = held.ended.wait_timeout_while(state, LONG, under_way).unwrap();
        assert!(!waited.timed_out());
    }

    /// An endpoint that hung once kept whoever polls waiting.
    #[test]
    fn who_asks_has_what_is_held_while_the_endpoint_hangs() {
        let (held, endpoint) = endpoint();
        endpoint.answers.send(Ok((1, 60_000))).unwrap();
        assert_eq!(told(&held, LONG), Ok("1".to_owned()));
        endpoint.asked.recv().unwrap();
        assert_eq!(told(&held, LONG), Ok("1".to_owned()), "fresh");
        assert!(endpoint.asked.try_recv().is_err());
        // It is time for another one, which does not come. Nobody waits for it, however long he would.
        age(&held, 48_000);
        for _ in 0..3 {
            assert_eq!(told(&held, LONG), Ok("1".to_owned()), "old");
        }
        endpoint.asked.recv().unwrap();
        assert!(endpoint.asked.try_recv().is_err(), "one request at a time");
        // Now it has ended.
        age(&held, 12_000);
        assert_eq!(told(&held, Duration::ZERO), Err(UNANSWERED.to_owned()));
        assert_eq!(held.lack(clock::now_ms()), Some(UNANSWERED.to_owned()));
        endpoint.answers.send(Ok((2, 60_000))).unwrap();
        assert_eq!(told(&held, LONG), Ok("2".to_owned()));
        assert_eq!(held.lack(clock::now_ms()), None);
        assert!(endpoint.asked.try_recv().is_err());
    }

    #[test]
    fn a_failure_is_told_and_the_next_request_comes_after_a_pause() {
        let (held, endpoint) = endpoint();
        endpoint.answers.send(Err("away")).unwrap();
        assert_eq!(told(&held, LONG), Err("away".to_owned()));
        endpoint.asked.recv().unwrap();
        rests(&held, true);
        assert_eq!(told(&held, LONG), Err("away".to_owned()), "within the pause");
        rests(&held, false);
        // What is known is told while the next one is under way.
        assert_eq!(told(&held, Duration::ZERO), Err("away".to_owned()));
        endpoint.asked.recv().unwrap();
        endpoint.answers.send(Ok((1, 60_000))).unwrap();
        assert_eq!(told(&held, LONG), Ok("1".to_owned()));
        assert!(endpoint.asked.try_recv().is_err());
        // A failure costs nothing while the old one holds.
        age(&held, 50_000);
        assert_eq!(held.lack(clock::now_ms()), None, "it holds, and nothing is known");
        endpoint.answers.send(Err("away again")).unwrap();
        assert_eq!(told(&held, LONG), Ok("1".to_owned()));
        ends(&held, 3);
        rests(&held, true);
        // Brokers may find it ended a moment earlier than we do.
        assert_eq!(held.lack(clock::now_ms()), Some("away again".to_owned()));
        assert_eq!(told(&held, LONG), Ok("1".to_owned()));
        age(&held, 9_500);
        assert_eq!(told(&held, LONG), Err("away again".to_owned()), "too little is left");
    }

    #[test]
    fn what_has_ended_and_what_panics_is_no_token() {
        let (held, endpoint) = endpoint();
        endpoint.answers.send(Ok((1, 0))).unwrap();
        let ended = "the token endpoint gives a token that has ended";
        assert_eq!(told(&held, LONG), Err(ended.to_owned()));
        let panics = Arc::new(Held::new(|| panic!("of the test")));
        assert_eq!(told(&panics, LONG), Err("the token could not be fetched".to_owned()));
    }
}
