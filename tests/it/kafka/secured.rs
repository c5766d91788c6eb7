//! A broker that asks who one is: TLS, mutual TLS and SASL over TLS, with an authorizer that denies
//! whatever no ACL allows. Its certificates and passwords are made for it and end with it.
//!
//! Owns the names, passwords and files that a client needs; what a client makes of them is the
//! test's affair.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::broker::{Broker, Listener, Options, Security};
use super::server::reserved_ports;

/// Who has a password, with all of them: with `PLAIN`, with SCRAM-SHA-256 and with SCRAM-SHA-512.
pub const USER: &str = "kubetell";
pub const PLAIN_PASSWORD: &str = "plain-Zei5ahNg";
pub const SCRAM_256_PASSWORD: &str = "scram-256-ooX3iequ";
pub const SCRAM_512_PASSWORD: &str = "scram-512-Aa7eiKoh";
/// What the client's key is encrypted with.
pub const KEY_PASSWORD: &str = "key-uCh4ohti";
/// What the user's client is known by where tokens are given.
pub const CLIENT_SECRET: &str = "client-aeV6iezi";
/// What no broker knows.
pub const WRONG_PASSWORD: &str = "wrong-Eith6eeD";

/// Nothing of this may stand in any output.
pub const SECRETS: [&str; 6] = [
    PLAIN_PASSWORD,
    SCRAM_256_PASSWORD,
    SCRAM_512_PASSWORD,
    KEY_PASSWORD,
    CLIENT_SECRET,
    WRONG_PASSWORD,
];

/// Where a client comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// TLS; everybody is anonymous, and the harness's anonymous may do everything.
    Tls,
    /// TLS with a client's certificate; its common name is the user.
    Mutual,
    /// SASL over TLS, with every mechanism.
    Sasl,
    /// As `Tls`, but the certificate is another host's.
    Elsewhere,
}

const DOORS: [(Door, &str, &str); 4] = [
    (Door::Tls, "TLS", "SSL"),
    (Door::Mutual, "MUTUAL", "SSL"),
    (Door::Sasl, "SASL", "SASL_SSL"),
    (Door::Elsewhere, "ELSEWHERE", "SSL"),
];

pub struct Secured {
    pub kafka: Broker,
    certificates: Certificates,
    ports: [u16; DOORS.len()],
}

impl Secured {
    /// Starts a broker. `more_users` have [`PLAIN_PASSWORD`] too.
    pub fn start(more_users: &[String]) -> Self {
        let certificates = Certificates::make();
        let ports = reserved_ports();
        let listeners = DOORS.iter().zip(ports);
        let listeners = listeners
            .map(|((_, name, protocol), port)| Listener { name, protocol, port })
            .collect();
        let options = Options {
            security: Security::Acl,
            properties: properties(&certificates, more_users),
            listeners,
            format_arguments: [
                ("SCRAM-SHA-256", SCRAM_256_PASSWORD),
                ("SCRAM-SHA-512", SCRAM_512_PASSWORD),
            ]
            .iter()
            .flat_map(|(mechanism, password)| {
                let user = format!("{mechanism}=[name={USER},password={password}]");
                ["--add-scram".to_owned(), user]
            })
            .collect(),
            ..Options::default()
        };
        Secured { kafka: Broker::start(options), certificates, ports }
    }

    /// `HOST:PORT` of a door.
    pub fn bootstrap(&self, door: Door) -> String {
        let at = DOORS.iter().position(|(other, ..)| *other == door).unwrap();
        format!("127.0.0.1:{}", self.ports[at])
    }

    /// A file of the certificates': `ca.pem`; `client` and `server`, `.pem` and `.key`; and
    /// `other-ca.pem`, which has signed nothing here.
    pub fn file(&self, name: &str) -> PathBuf {
        self.certificates.path(name)
    }
}

/// The lines of `server.properties`.
fn properties(certificates: &Certificates, more_users: &[String]) -> Vec<(String, String)> {
    let path = |name: &str| certificates.path(name).display().to_string();
    let mut plain = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_{USER}=\"{PLAIN_PASSWORD}\""
    );
    for user in more_users {
        plain.push_str(&format!(" user_{user}=\"{PLAIN_PASSWORD}\""));
    }
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let mut lines: Vec<(String, String)> = [
        ("ssl.principal.mapping.rules", "RULE:^CN=([^,]*).*$/$1/,DEFAULT".to_owned()),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", path("ca.pem")),
        ("listener.name.mutual.ssl.client.auth", "required".to_owned()),
        (
            "listener.name.sasl.sasl.enabled.mechanisms",
            "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER".to_owned(),
        ),
        ("listener.name.sasl.plain.sasl.jaas.config", format!("{plain};")),
        ("listener.name.sasl.scram-sha-256.sasl.jaas.config", scram.to_owned()),
        ("listener.name.sasl.scram-sha-512.sasl.jaas.config", scram.to_owned()),
        (
            "listener.name.sasl.oauthbearer.sasl.jaas.config",
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
             unsecuredLoginStringClaim_sub=\"broker\";"
                .to_owned(),
        ),
        // Who does not sign in again before its token ends is sent away.
        ("listener.name.sasl.oauthbearer.connections.max.reauth.ms", "3600000".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    for (door, name, _) in DOORS {
        let store = if door == Door::Elsewhere { "elsewhere" } else { "server" };
        let name = name.to_lowercase();
        let of = |key: &str, value: String| (format!("listener.name.{name}.ssl.{key}"), value);
        lines.push(of("keystore.type", "PEM".to_owned()));
        lines.push(of("keystore.location", path(&format!("{store}-store.pem"))));
    }
    lines
}

/// Certificates of an authority of their own, in a folder of their own.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn make() -> Self {
        let folder = tempfile::Builder::new().prefix("kubetell-certificates-").tempdir().unwrap();
        let certificates = Certificates { folder };
        certificates.authority("ca");
        certificates.authority("other-ca");
        certificates.signed("server", "broker", "IP:127.0.0.1", None);
        certificates.signed("elsewhere", "broker", "DNS:elsewhere.example", None);
        certificates.signed("client", USER, "DNS:client.example", Some(KEY_PASSWORD));
        for name in ["server", "elsewhere"] {
            let part = |end: &str| {
                std::fs::read_to_string(certificates.path(&format!("{name}.{end}"))).unwrap()
            };
            let store = part("key") + &part("pem");
            std::fs::write(certificates.path(&format!("{name}-store.pem")), store).unwrap();
        }
        certificates
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn authority(&self, name: &str) {
        self.openssl(name, &["-nodes", "-subj", &format!("/CN={name}")]);
    }

    /// A certificate of `ca`, for the common name and the alternative name.
    fn signed(&self, name: &str, common: &str, alternative: &str, password: Option<&str>) {
        let (subject, alternative) =
            (format!("/CN={common}"), format!("subjectAltName={alternative}"));
        let (authority, key) = (self.path("ca.pem"), self.path("ca.key"));
        let (authority, key) = (authority.to_str().unwrap(), key.to_str().unwrap());
        let encrypted = password.map(|password| format!("pass:{password}"));
        let mut arguments = vec!["-subj", &subject, "-addext", &alternative];
        arguments.extend(["-addext", "basicConstraints=critical,CA:FALSE"]);
        arguments.extend(["-CA", authority, "-CAkey", key]);
        match &encrypted {
            Some(password) => arguments.extend(["-passout", password]),
            None => arguments.push("-nodes"),
        }
        self.openssl(name, &arguments);
    }

    fn openssl(&self, name: &str, arguments: &[&str]) {
        let file = |end: &str| -> PathBuf { self.path(&format!("{name}.{end}")) };
        let run = |command: &mut Command| {
            let output = command.output();
            let output = output.unwrap_or_else(|error| {
                panic!("`openssl` does not start: {error}; use `tests/run`")
            });
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-days", "2", "-newkey", "ec"]);
        command.args(["-pkeyopt", "ec_paramgen_curve:P-256"]);
        command.arg("-keyout").arg(file("key")).arg("-out").arg(file("pem"));
        run(command.args(arguments));
        assert!(Path::new(&file("pem")).exists());
    }
}
