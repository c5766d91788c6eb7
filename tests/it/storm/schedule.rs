//! What is done to whom, and when: a function of the seed alone.
//!
//! Every instance, and the brokers together, have a schedule of their own. Its times are counted
//! from what came before in it: from the restart of an instance, from the cluster being whole
//! again. So the machine's speed moves the blows against each other and changes none of them.

use std::time::Duration;

use kubetell::demo::random::Random;

use super::INSTANCES;
use crate::kafka::cluster::NODES;

/// An instance whose time stands still for longer is taken for dead by its group.
pub const SESSION_TIMEOUT_MS: u64 = 3_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    Kill,
    /// A kill, and its state directory is deleted while it is down.
    KillAndForget,
    /// Its time stands still; then it goes on, a zombie.
    Suspend,
}

/// What happens to one instance, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceBlow {
    /// How long it runs before.
    pub up: Duration,
    pub blow: Blow,
    pub down: Duration,
}

pub struct InstanceSchedule {
    random: Random,
    /// The first blows of the instances differ, so that a short storm has all kinds.
    first: Option<Blow>,
}

impl InstanceSchedule {
    pub fn new(seed: u64, instance: usize) -> Self {
        let mut kinds = [Blow::Kill, Blow::KillAndForget, Blow::Suspend];
        kinds.rotate_left(Random::new(seed).below(INSTANCES as u64) as usize);
        InstanceSchedule { random: fork(seed, instance), first: Some(kinds[instance % 3]) }
    }
}

impl Iterator for InstanceSchedule {
    type Item = InstanceBlow;

    fn next(&mut self) -> Option<InstanceBlow> {
        let random = &mut self.random;
        let drawn = match random.below(10) {
            0..5 => Blow::Kill,
            5..7 => Blow::KillAndForget,
            _ => Blow::Suspend,
        };
        let (up, blow) = match self.first.take() {
            Some(first) => (random.within(2_000..8_000), first),
            None => (random.within(4_000..16_000), drawn),
        };
        let down = match blow {
            Blow::Kill | Blow::KillAndForget => random.within(100..6_000),
            Blow::Suspend => SESSION_TIMEOUT_MS + random.within(1_000..5_000),
        };
        Some(InstanceBlow {
            up: Duration::from_millis(up),
            blow,
            down: Duration::from_millis(down),
        })
    }
}

/// What happens to one broker, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerBlow {
    /// How long the cluster was whole before.
    pub calm: Duration,
    pub node: usize,
    pub down: Duration,
    /// This instance is killed so long after the broker, while its outputs wait for a leader.
    pub strike: Option<(usize, Duration)>,
}

pub struct BrokerSchedule {
    random: Random,
}

impl BrokerSchedule {
    pub fn new(seed: u64) -> Self {
        BrokerSchedule { random: fork(seed, INSTANCES) }
    }
}

impl Iterator for BrokerSchedule {
    type Item = BrokerBlow;

    fn next(&mut self) -> Option<BrokerBlow> {
        let random = &mut self.random;
        let calm = Duration::from_millis(random.within(3_000..12_000));
        let node = random.below(NODES as u64) as usize;
        let down = Duration::from_millis(random.within(3_000..8_000));
        let instance = random.below(INSTANCES as u64) as usize;
        let after = Duration::from_millis(random.within(1_000..3_000));
        let strike = (random.below(3) > 0).then_some((instance, after));
        Some(BrokerBlow { calm, node, down, strike })
    }
}

/// Generators of one seed that have nothing to do with each other.
pub fn fork(seed: u64, number: usize) -> Random {
    let mut random = Random::new(seed);
    let mut fork = 0;
    for _ in 0..=number {
        fork = random.draw();
    }
    Random::new(fork)
}

#[test]
fn a_seed_decides_the_schedule() {
    let instances = |seed| -> Vec<InstanceBlow> {
        (0..INSTANCES).flat_map(|i| InstanceSchedule::new(seed, i).take(20)).collect()
    };
    let brokers = |seed| -> Vec<BrokerBlow> { BrokerSchedule::new(seed).take(20).collect() };
    assert_eq!((instances(7), brokers(7)), (instances(7), brokers(7)));
    assert_ne!(instances(7), instances(8));
    assert_ne!(brokers(7), brokers(8));
    for kind in [Blow::Kill, Blow::KillAndForget, Blow::Suspend] {
        let first = instances(7).into_iter().step_by(20).filter(|blow| blow.blow == kind);
        assert_eq!(first.count(), 1, "{kind:?} comes first to one instance");
    }
}
