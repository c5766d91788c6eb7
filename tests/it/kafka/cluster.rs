//! A real Apache Kafka of three nodes, each a broker and a controller of one quorum, of which one
//! at a time can be killed.
//!
//! Owns the nodes and their ports, and knows when every replica of every partition is in sync
//! again. Everything else that a test does to Kafka it does through [`Cluster::node`].

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::broker::{Broker, Member, Options, Peer, random_id};
use super::server::reserved_ports;

pub const NODES: usize = 3;
/// How often the cluster is started on other ports when somebody else took those that were free.
const START_ATTEMPTS: u32 = 5;

pub struct Cluster {
    nodes: Vec<Broker>,
}

impl Cluster {
    /// Starts three nodes and waits until the cluster is whole.
    pub fn start() -> Self {
        for _ in 0..START_ATTEMPTS {
            let mut nodes = lay_out();
            // None answers before there is a quorum.
            nodes.iter_mut().for_each(Broker::spawn);
            let failed = nodes.iter_mut().position(|node| node.await_answer().is_err());
            match failed.map(|failed| &nodes[failed]) {
                None => return Cluster { nodes },
                Some(node) if node.log().contains("Address already in use") => {}
                Some(node) => panic!("Kafka did not start\n{}", node.log_tail()),
            }
        }
        panic!("Kafka found its ports taken {START_ATTEMPTS} times in a row");
    }

    /// A node, for everything that is asked of the whole cluster: its clients know all nodes, and
    /// it need not run itself.
    pub fn node(&self, index: usize) -> &Broker {
        &self.nodes[index]
    }

    /// Kills a node, as a crash would. Its data stays.
    pub fn kill(&mut self, index: usize) {
        self.nodes[index].kill();
    }

    /// Starts a node that was killed again and waits until it answers.
    pub fn restart(&mut self, index: usize) {
        self.nodes[index].restart();
    }

    /// Whether every node is there and every replica of every partition is in sync, as the node
    /// says that was started last.
    pub fn is_whole(&self, index: usize) -> bool {
        // A client of its own: the first answer can only come from this node.
        let client: BaseConsumer = self.nodes[index].probe_config().create().unwrap();
        client.fetch_metadata(None, Duration::from_secs(5)).is_ok_and(|metadata| {
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            metadata.brokers().len() == NODES
                && partitions.all(|partition| {
                    partition.isr().len() == NODES
                        && partition.replicas().len() == NODES
                        && partition.leader() >= 0
                })
        })
    }
}

fn lay_out() -> Vec<Broker> {
    let cluster_id = random_id();
    let peers: Vec<Peer> = free_ports().into_iter().map(Peer::new).collect();
    let options = Options {
        // Three of them stand beside the instances and the build.
        heap_mb: 256,
        properties: [
            // A node that was killed is no leader any more after three seconds, not nine.
            ("broker.session.timeout.ms", "3000"),
            ("broker.heartbeat.interval.ms", "500"),
            ("controller.quorum.election.timeout.ms", "1000"),
            ("controller.quorum.fetch.timeout.ms", "2000"),
            // Leaders move back soon, so that every node's death strikes some.
            ("leader.imbalance.check.interval.seconds", "5"),
            ("leader.imbalance.per.broker.percentage", "0"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        ..Options::default()
    };
    let laid_out = |index| {
        let member = Member { cluster_id: cluster_id.clone(), index, peers: peers.clone() };
        let options = options.clone();
        std::thread::spawn(move || Broker::laid_out(member, options))
    };
    let threads: Vec<_> = (0..NODES).map(laid_out).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Pairs of ports that stay free while a node is down: among the others a client that tries to reach
/// a dead node could become the owner of the node's own port.
fn free_ports() -> [(u16, u16); NODES] {
    let ports: [u16; 2 * NODES] = reserved_ports();
    std::array::from_fn(|node| (ports[2 * node], ports[2 * node + 1]))
}
