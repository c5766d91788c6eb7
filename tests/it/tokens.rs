//! OAUTHBEARER on a real Kafka: tokens by client credentials from an endpoint of the test's own, over
//! TLS. The broker takes unsigned tokens, which is for tests alone; whether a signature holds is the
//! broker's affair.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};

use crate::kafka::DEADLINE;
use crate::kafka::secured::{CLIENT_SECRET, Door, Secured, USER, WRONG_PASSWORD};
use crate::security::{
    Setup, acts, check_refused, check_runs, guarded, is_read, raised_ids, recipe,
};
use crate::support::eventually;

/// How long a token holds: the client asks for another one after four fifths of it.
const LIFETIME_S: i64 = 15;
/// How long one holds with which something is done after the client has asked for another one.
const LONGER_S: i64 = 120;

/// A token endpoint. Its thread ends with the test binary.
struct Endpoint {
    port: u16,
    given: Arc<AtomicUsize>,
    /// It takes connections and answers no more.
    hangs: Arc<AtomicBool>,
    /// Connections that it has taken since.
    unanswered: Arc<AtomicUsize>,
}

impl Endpoint {
    /// Of tokens that hold so many seconds.
    fn start(secured: &Secured, lifetime_s: i64) -> Endpoint {
        let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls_server()).unwrap();
        acceptor.set_certificate_chain_file(secured.file("server.pem")).unwrap();
        acceptor.set_private_key_file(secured.file("server.key"), SslFiletype::PEM).unwrap();
        let acceptor = acceptor.build();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let given = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&given);
        let (hangs, unanswered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (is_silent, silent) = (Arc::clone(&hangs), Arc::clone(&unanswered));
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                if is_silent.load(Ordering::SeqCst) {
                    kept.push(stream.unwrap());
                    silent.fetch_add(1, Ordering::SeqCst);
                } else {
                    // A client that does not trust the certificate ends it here.
                    let _ = answer(&acceptor, stream.unwrap(), lifetime_s, &count);
                }
            }
        });
        Endpoint { port, given, hangs, unanswered }
    }

    fn hanging(secured: &Secured) -> Endpoint {
        let endpoint = Endpoint::start(secured, LIFETIME_S);
        endpoint.hangs.store(true, Ordering::SeqCst);
        endpoint
    }

    fn setting(&self) -> String {
        format!(
            "kafka.properties.sasl.oauthbearer.token.endpoint.url=https://127.0.0.1:{}/token",
            self.port
        )
    }
}

/// Answers one request, as RFC 6749 has it.
fn answer(
    acceptor: &SslAcceptor,
    stream: TcpStream,
    lifetime_s: i64,
    given: &AtomicUsize,
) -> Result<(), Box<dyn std::error::Error>> {
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut stream = BufReader::new(acceptor.accept(stream)?);
    let (mut head, mut line) = (Vec::new(), String::new());
    while stream.read_line(&mut line)? > 2 {
        head.push(std::mem::take(&mut line).trim_end().to_owned());
    }
    let header = |name: &str| {
        let named = |line: &&String| line.to_ascii_lowercase().starts_with(&format!("{name}: "));
        head.iter().find(named).map(|line| line[name.len() + 2..].to_owned()).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse()?];
    stream.read_exact(&mut body)?;
    assert_eq!(head[0], "POST /token HTTP/1.1");
    assert_eq!(header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(String::from_utf8(body)?, "grant_type=client_credentials&scope=kafka");
    let quoted = CLIENT_SECRET.replace('-', "%2D");
    let known = format!("Basic {}", STANDARD.encode(format!("{USER}:{quoted}")));
    let (status, body) = if header("authorization") == known {
        given.fetch_add(1, Ordering::SeqCst);
        // It holds a quarter longer than is said, so that a slow machine does all in time.
        let token = token(lifetime_s + lifetime_s / 4);
        let body = format!(r#"{{"access_token":"{token}","expires_in":{lifetime_s}}}"#);
        ("200 OK", body)
    } else {
        ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned())
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
    stream.get_mut().write_all((head + &body).as_bytes())?;
    stream.get_mut().shutdown()?;
    Ok(())
}

fn token(lifetime_s: i64) -> String {
    let now = kubetell::clock::now_ms() / 1_000;
    let claims = format!(r#"{{"sub":"{USER}","iat":{now},"exp":{}}}"#, now + lifetime_s);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&claims))
}

fn setup(endpoint: &Endpoint, secret: &str) -> Setup {
    let setup = Setup::at(&recipe("SASL OAUTHBEARER"), Door::Sasl).set(&endpoint.setting());
    setup.file("client-secret", &format!("{secret}\n"));
    setup
}

#[test]
fn tokens_are_fetched_and_fetched_again_before_they_expire() {
    let guarded = guarded();
    let _member = guarded.members.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let endpoint = Endpoint::start(&guarded.secured, LIFETIME_S);
    let setup = setup(&endpoint, CLIENT_SECRET);
    check_runs("OAUTHBEARER", &setup);
    let first = endpoint.given.load(Ordering::SeqCst);
    assert!(first > 0);

    // Its clients stay, and another one is asked for, for all of them, and another.
    let run = setup.run();
    run.wait_for_stderr(DEADLINE, |line| line.contains("observations partitions assigned"));
    let begun = endpoint.given.load(Ordering::SeqCst);
    eventually(DEADLINE, "it has asked twice again", || {
        endpoint.given.load(Ordering::SeqCst) >= begun + 2 || run.has_ended()
    });
    let finished = run.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(!finished.stderr.contains(CLIENT_SECRET));
    check_runs("OAUTHBEARER again", &setup);
}

/// What is logged when the takeover of a partition has begun.
const TAKES_OVER: &str = "\"taking over\"";

/// Between two takeovers nobody polls the clients that read the log for them.
#[test]
fn a_takeover_has_a_token_however_long_after_the_last_one_it_comes() {
    let guarded = guarded();
    let _member = guarded.members.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let secured = &guarded.secured;
    let endpoint = Endpoint::start(secured, LIFETIME_S);
    let (first, second) = (setup(&endpoint, CLIENT_SECRET), setup(&endpoint, CLIENT_SECRET));
    let stays = first.run();
    let takeovers = || stays.stderr().matches(TAKES_OVER).count();
    eventually(DEADLINE, "all partitions are taken over", || takeovers() >= 4);
    let before = acts(secured);
    eventually(DEADLINE, "everything is read", || is_read(secured));
    // Three tokens of those that are polled: those of the takeover have ended.
    let begun = endpoint.given.load(Ordering::SeqCst);
    eventually(DEADLINE, "the first tokens have ended", || {
        endpoint.given.load(Ordering::SeqCst) >= begun + 3 || stays.has_ended()
    });

    let taken = takeovers();
    let comes = second.run();
    comes.wait_for_stderr(DEADLINE, |line| line.contains(TAKES_OVER));
    assert_eq!(comes.terminate(DEADLINE).code(), Some(0));
    eventually(DEADLINE, "what was given away is taken over again", || takeovers() > taken);
    let after = acts(secured);
    eventually(DEADLINE, "everything is read", || is_read(secured));
    let finished = stays.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(before.union(&after).all(|id| raised_ids(secured).contains(id)));
    let failed = "taking over a partition failed";
    assert!(!finished.stderr.contains(failed), "{}", finished.stderr);
}

/// A request that hung once kept the thread that polls waiting, ten seconds at a time.
#[test]
fn an_endpoint_that_hangs_is_not_waited_for() {
    let guarded = guarded();
    let _member = guarded.members.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let secured = &guarded.secured;
    let endpoint = Endpoint::start(secured, LONGER_S);
    let (stay, stop) = (setup(&endpoint, CLIENT_SECRET), setup(&endpoint, CLIENT_SECRET));
    let (stays, stops) = (stay.run(), stop.run());
    for run in [&stays, &stops] {
        run.wait_for_stderr(DEADLINE, |line| line.contains("observations partitions assigned"));
    }
    let mut all = acts(secured);
    eventually(DEADLINE, "everything is read", || is_read(secured));

    endpoint.hangs.store(true, Ordering::SeqCst);
    eventually(DEADLINE, "both ask for another one", || {
        endpoint.unanswered.load(Ordering::SeqCst) >= 2 || stays.has_ended() || stops.has_ended()
    });
    // The old ones hold for a while.
    all.append(&mut acts(secured));
    eventually(DEADLINE, "everything is read meanwhile", || is_read(secured));
    let stopped = stops.terminate(DEADLINE);
    assert_eq!(stopped.code(), Some(0), "{}", stopped.stderr);

    // Then the broker ends the connections, and takes the old token no more.
    stays.wait_for_stderr(DEADLINE, |line| line.contains("no broker can be reached"));
    let says =
        |line: &str| line.contains("there is no new token for the brokers: the token endpoint");
    stays.wait_for_stderr(DEADLINE, says);
    endpoint.hangs.store(false, Ordering::SeqCst);
    all.append(&mut acts(secured));
    eventually(DEADLINE, "everything is read again", || is_read(secured));
    let stopped = stays.terminate(DEADLINE);
    assert_eq!(stopped.code(), Some(0), "{}", stopped.stderr);
    assert!(all.is_subset(&raised_ids(secured)));
    // The credentials were right all the time.
    assert!(!stopped.stderr.contains("refuse the credentials"), "{}", stopped.stderr);
}

#[test]
fn what_keeps_a_token_away_is_said() {
    let secured = &guarded().secured;
    let endpoint = Endpoint::start(secured, LIFETIME_S);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let other = setup(&endpoint, CLIENT_SECRET);
    other.file("other-ca.pem", &std::fs::read_to_string(secured.file("other-ca.pem")).unwrap());
    let authority = other.path("other-ca.pem");
    let cases: Vec<(&str, Setup, i32, &[&str])> = vec![
        (
            "another secret",
            setup(&endpoint, WRONG_PASSWORD),
            78,
            &["the token endpoint refuses: 401 Unauthorized, invalid_client", "client.secret"],
        ),
        (
            "nobody there",
            setup(&Endpoint { port, ..Endpoint::hanging(secured) }, CLIENT_SECRET),
            69,
            &["the token endpoint `127.0.0.1", "can't be reached", "endpoint.url"],
        ),
        (
            "no answer",
            setup(&Endpoint::hanging(secured), CLIENT_SECRET),
            69,
            &["the token endpoint did not answer in 10s", "endpoint.url"],
        ),
        (
            "another authority",
            other.set(&format!("kafka.properties.https.ca.location={authority}")),
            69,
            &["TLS with the token endpoint", "certificate verify failed", "https.ca.location"],
        ),
        (
            "no secret",
            setup(&endpoint, CLIENT_SECRET).without("\"sasl.oauthbearer.client.secret_file\""),
            78,
            &["OAUTHBEARER needs `sasl.oauthbearer.client.secret`", "docs/security.md"],
        ),
    ];
    let running: Vec<_> = cases
        .into_iter()
        .map(|(name, setup, code, says)| (name, setup.run(), setup, code, says))
        .collect();
    for (name, run, _setup, code, says) in running {
        check_refused(name, run, code, says);
    }
}
