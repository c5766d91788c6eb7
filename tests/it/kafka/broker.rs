//! A real Apache Kafka: one process that is broker and controller, on free ports of 127.0.0.1.
//! It is a cluster of its own, or a node of one (`cluster`).
//!
//! Owns the process (see `server`), its folder and its ports.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine;
use kubetell::clock;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::Signal;
use tempfile::TempDir;

use super::DEADLINE;
use super::server::{self, Running, reserved_ports};

/// How often a broker is started on other ports when somebody else took those that were free.
const START_ATTEMPTS: u32 = 5;

/// The users of a broker with [`Security::Acl`]: name and password.
pub const ADMIN: (&str, &str) = ("admin", "admin-password");
/// May log in, and nothing else until somebody gives it a right.
pub const NOBODY: (&str, &str) = ("nobody", "nobody-password");

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// Everybody may do everything.
    #[default]
    Plaintext,
    /// `SASL_PLAINTEXT` with the mechanism `PLAIN`, and an authorizer under which [`ADMIN`] may
    /// do everything and everybody else only what an ACL allows.
    Acl,
}

#[derive(Debug, Clone, Default)]
pub struct Options {
    pub security: Security,
    /// Lines for `server.properties`; they win over the harness's own.
    pub properties: Vec<(String, String)>,
    /// The ports of the first attempt, (clients, controller), instead of free ones.
    pub first_ports: Option<(u16, u16)>,
    /// The largest heap of the process; 0 for the harness's own choice.
    pub heap_mb: u32,
    /// Listeners for clients beside the one that every broker has.
    pub listeners: Vec<Listener>,
    /// More arguments for the laying out of the data folder, e.g. users with SCRAM.
    pub format_arguments: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Listener {
    /// In capitals.
    pub name: &'static str,
    /// Kafka's name for it, e.g. `SASL_SSL`.
    pub protocol: &'static str,
    pub port: u16,
}

/// A node's place among its peers.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub cluster_id: String,
    /// Which of `peers` it is.
    pub index: usize,
    pub peers: Vec<Peer>,
}

/// What the nodes of a cluster know of each other.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub port: u16,
    pub controller_port: u16,
    /// Names the peer's data folder; the first quorum is made of these.
    pub directory_id: String,
}

impl Peer {
    pub fn new((port, controller_port): (u16, u16)) -> Self {
        Peer { port, controller_port, directory_id: random_id() }
    }
}

/// The jars of Apache Kafka.
pub fn libs() -> PathBuf {
    server::jars("KUBETELL_KAFKA_LIBS", "Apache Kafka")
}

/// A command that runs a class of Kafka's.
pub fn java(heap_mb: u32, log_level: &str, class: &str) -> Command {
    let mut command = Command::new("java");
    command
        .arg(format!("-Xmx{heap_mb}m"))
        // Small and quick to start; throughput is not what these tests measure.
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"])
        .arg(format!("-Dorg.slf4j.simpleLogger.defaultLogLevel={log_level}"))
        .arg("-cp")
        // The JVM itself expands the asterisk.
        .arg(libs().join("*"))
        .arg(class);
    command
}

pub struct Broker {
    folder: TempDir,
    member: Member,
    options: Options,
    running: Option<Running>,
}

/// The broker that all tests share which only add topics and groups of their own to it. Started
/// by the first that asks.
pub fn shared() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(|| Broker::start(Options::default()))
}

impl Broker {
    /// Starts a broker of one's own and waits until it answers. For tests that stop it, stop its
    /// time or need other settings; all others take the [`shared`] one.
    pub fn start(options: Options) -> Self {
        let mut ports = options.first_ports;
        for _ in 0..START_ATTEMPTS {
            let ports = ports.take().unwrap_or_else(|| reserved_ports().into());
            let mut broker = Self::laid_out(
                Member { cluster_id: random_id(), index: 0, peers: vec![Peer::new(ports)] },
                options.clone(),
            );
            broker.spawn();
            match broker.await_answer() {
                Ok(()) => return broker,
                // Between choosing a port and listening on it somebody else may take it.
                Err(()) if broker.log().contains("Address already in use") => {}
                Err(()) => panic!("Kafka did not start\n{}", broker.log_tail()),
            }
        }
        panic!("Kafka found its ports taken {START_ATTEMPTS} times in a row");
    }

    /// A broker whose data folder is made, and which does not run yet.
    pub(super) fn laid_out(member: Member, options: Options) -> Self {
        let folder = tempfile::Builder::new().prefix("kubetell-kafka-").tempdir().unwrap();
        let broker = Self { folder, member, options, running: None };
        broker.format();
        broker
    }

    /// `HOST:PORT` for clients, of all nodes.
    pub fn bootstrap(&self) -> String {
        let servers: Vec<String> =
            self.member.peers.iter().map(|peer| format!("127.0.0.1:{}", peer.port)).collect();
        servers.join(",")
    }

    pub fn port(&self) -> u16 {
        self.own().port
    }

    pub fn cluster_id(&self) -> &str {
        &self.member.cluster_id
    }

    /// How many nodes the cluster has: the replication factor of everything in it.
    pub fn nodes(&self) -> usize {
        self.member.peers.len()
    }

    fn own(&self) -> &Peer {
        &self.member.peers[self.member.index]
    }

    pub fn security(&self) -> Security {
        self.options.security
    }

    /// The settings with which a librdkafka client reaches this broker, as an administrator where
    /// it asks who one is.
    pub fn client_config(&self) -> ClientConfig {
        self.client_config_as(ADMIN)
    }

    /// As [`Self::client_config`], for another user (name, password).
    pub fn client_config_as(&self, user: (&str, &str)) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap())
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "200");
        for (key, value) in self.security_properties(user) {
            config.set(key, value);
        }
        config
    }

    /// What a client must set beside `bootstrap.servers`, by librdkafka's names.
    pub fn security_properties(&self, user: (&str, &str)) -> Vec<(&'static str, String)> {
        match self.options.security {
            Security::Plaintext => Vec::new(),
            Security::Acl => vec![
                ("security.protocol", "sasl_plaintext".to_owned()),
                ("sasl.mechanism", "PLAIN".to_owned()),
                ("sasl.username", user.0.to_owned()),
                ("sasl.password", user.1.to_owned()),
            ],
        }
    }

    /// What the records of a topic take on disk, in bytes.
    pub fn topic_bytes(&self, topic: &str) -> u64 {
        let of_topic = |folder: &fs::DirEntry| {
            let name = folder.file_name();
            let name = name.to_string_lossy();
            name.rsplit_once('-').is_some_and(|(of, number)| {
                of == topic && number.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let folders = fs::read_dir(self.folder.path().join("data")).unwrap().flatten();
        let files =
            folders.filter(of_topic).flat_map(|folder| fs::read_dir(folder.path()).unwrap());
        files
            .flatten()
            .filter(|file| file.path().extension().is_some_and(|extension| extension == "log"))
            .map(|file| file.metadata().map_or(0, |data| data.len()))
            .sum()
    }

    /// The properties file for Kafka's own tools.
    pub fn tool_config(&self) -> PathBuf {
        self.folder.path().join("client.properties")
    }

    /// Kills the broker, as a crash would: nothing is written any more. Its data stays.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Asks the broker to shut down and waits until it has.
    pub fn stop(&mut self) {
        // Kafka bounds its own shutdown.
        self.running.take().expect("the broker runs").stop();
    }

    /// Starts a broker that was stopped or killed again, on its ports and with its data.
    pub fn restart(&mut self) {
        self.spawn();
        // Its ports are its address: nothing else can be chosen now.
        if self.await_answer().is_err() {
            panic!("Kafka did not start again\n{}", self.log_tail());
        }
    }

    /// Stops the broker's time: connections stay open, nothing is answered.
    pub fn freeze(&self) {
        self.running.as_ref().expect("the broker runs").signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.running.as_ref().expect("the broker runs").signal(Signal::CONT);
    }

    pub fn log(&self) -> String {
        let mut log = Vec::new();
        if let Ok(mut file) = File::open(self.log_path()) {
            file.read_to_end(&mut log).ok();
        }
        String::from_utf8_lossy(&log).into_owned()
    }

    pub fn log_tail(&self) -> String {
        server::tail("Kafka", &self.log())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("kafka.log")
    }

    fn properties_path(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    /// Writes the settings and lays out the data folder.
    fn format(&self) {
        fs::write(self.properties_path(), self.server_properties()).unwrap();
        fs::write(self.tool_config(), self.tool_properties()).unwrap();
        let mut command = java(256, "warn", "kafka.tools.StorageTool");
        command.args(["format", "-t", self.cluster_id(), "-c"]).arg(self.properties_path());
        command.args(&self.options.format_arguments);
        if self.nodes() == 1 {
            command.arg("--standalone");
        } else {
            command.args(["--initial-controllers", &self.initial_controllers()]);
        }
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("`java` does not start: {error}; use `tests/run`"));
        assert!(
            output.status.success(),
            "Kafka's data folder could not be laid out: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// `ID@HOST:PORT:DIRECTORY` of every node.
    fn initial_controllers(&self) -> String {
        let controllers = self.member.peers.iter().zip(1..).map(|(peer, id)| {
            format!("{id}@127.0.0.1:{}:{}", peer.controller_port, peer.directory_id)
        });
        controllers.collect::<Vec<_>>().join(",")
    }

    fn server_properties(&self) -> String {
        let (port, controller) = (self.own().port, self.own().controller_port);
        let controllers: Vec<String> = (self.member.peers.iter())
            .map(|peer| format!("127.0.0.1:{}", peer.controller_port))
            .collect();
        let controllers = controllers.join(",");
        let (id, replicas) = (self.member.index + 1, self.nodes());
        let in_sync = replicas.div_ceil(2);
        let protocol = match self.options.security {
            Security::Plaintext => "PLAINTEXT",
            Security::Acl => "SASL_PLAINTEXT",
        };
        let more = |entry: fn(&Listener) -> String| -> String {
            self.options.listeners.iter().map(|listener| format!(",{}", entry(listener))).collect()
        };
        let addresses = more(|listener| format!("{}://127.0.0.1:{}", listener.name, listener.port));
        let protocols = more(|listener| format!("{}:{}", listener.name, listener.protocol));
        let mut lines = format!(
            "process.roles=broker,controller\n\
             node.id={id}\n\
             listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{addresses}\n\
             advertised.listeners=CLIENTS://127.0.0.1:{port}{addresses}\n\
             listener.security.protocol.map=CLIENTS:{protocol},CONTROLLER:PLAINTEXT{protocols}\n\
             inter.broker.listener.name=CLIENTS\n\
             controller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers={controllers}\n\
             log.dirs={}\n\
             auto.create.topics.enable=false\n\
             group.initial.rebalance.delay.ms=0\n\
             group.min.session.timeout.ms=500\n\
             offsets.topic.num.partitions=2\n\
             offsets.topic.replication.factor={replicas}\n\
             transaction.state.log.num.partitions=2\n\
             transaction.state.log.replication.factor={replicas}\n\
             transaction.state.log.min.isr={in_sync}\n\
             min.insync.replicas={in_sync}\n\
             log.cleaner.dedupe.buffer.size=16777216\n\
             num.network.threads=2\n\
             num.io.threads=2\n",
            self.folder.path().join("data").display()
        );
        if self.options.security == Security::Acl {
            let ((admin, admin_password), (nobody, nobody_password)) = (ADMIN, NOBODY);
            // Nobody but the controller's own listener, which only this broker uses, is anonymous.
            lines.push_str(&format!(
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                 super.users=User:{admin};User:ANONYMOUS\n\
                 allow.everyone.if.no.acl.found=false\n\
                 sasl.enabled.mechanisms=PLAIN\n\
                 sasl.mechanism.inter.broker.protocol=PLAIN\n\
                 listener.name.clients.plain.sasl.jaas.config=\
                 org.apache.kafka.common.security.plain.PlainLoginModule required \
                 username=\"{admin}\" password=\"{admin_password}\" \
                 user_{admin}=\"{admin_password}\" user_{nobody}=\"{nobody_password}\";\n"
            ));
        }
        for (key, value) in &self.options.properties {
            lines.push_str(&format!("{key}={value}\n"));
        }
        lines
    }

    fn tool_properties(&self) -> String {
        match self.options.security {
            Security::Plaintext => String::new(),
            Security::Acl => format!(
                "security.protocol=SASL_PLAINTEXT\n\
                 sasl.mechanism=PLAIN\n\
                 sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
                 required username=\"{}\" password=\"{}\";\n",
                ADMIN.0, ADMIN.1
            ),
        }
    }

    /// Starts the process. What ran before is killed.
    pub(super) fn spawn(&mut self) {
        self.running = None;
        let heap_mb = if self.options.heap_mb == 0 { 512 } else { self.options.heap_mb };
        let mut command = java(heap_mb, "info", "kafka.Kafka");
        command.arg(self.properties_path());
        self.running = Some(Running::start(&mut command, &self.log_path(), self.folder.path()));
    }

    /// The settings with which a client asks this node first.
    pub(super) fn probe_config(&self) -> ClientConfig {
        let mut config = self.client_config();
        config.set("bootstrap.servers", format!("127.0.0.1:{}", self.port())).set("log_level", "0");
        config
    }

    /// Waits until the broker answers a client. An error is a process that ended.
    pub(super) fn await_answer(&mut self) -> Result<(), ()> {
        // Only an answer proves that it is up. The client retries the connection by itself, so
        // each request blocks until it is answered or its time is over.
        let probe: BaseConsumer = self.probe_config().create().unwrap();
        let until = clock::monotonic() + DEADLINE;
        loop {
            let running = self.running.as_mut().expect("the broker was started");
            if running.has_ended() {
                return Err(());
            }
            let answer = probe.fetch_metadata(None, Duration::from_millis(500));
            // Whoever else may hold the port may speak Kafka too: ask which cluster this is.
            if answer.is_ok()
                && probe.client().fetch_cluster_id(DEADLINE).as_deref() == Some(self.cluster_id())
            {
                return Ok(());
            }
            if clock::monotonic() > until {
                panic!("Kafka does not answer after {DEADLINE:?}\n{}", self.log_tail());
            }
        }
    }
}

/// 16 random bytes in Kafka's way of writing them.
pub(super) fn random_id() -> String {
    loop {
        let bytes = uuid::Uuid::new_v4().into_bytes();
        let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        // The tool takes an id with a dash at its start for an option.
        if !id.starts_with('-') {
            return id;
        }
    }
}
