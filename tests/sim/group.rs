//! A consumer group's coordinator: members, cooperative assignment, generations, offsets.

use std::collections::VecDeque;

use crate::rng::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Out,
    In,
    /// The process is dead, which the coordinator has not noticed.
    Dead,
    /// The session expired, which the member has not noticed: it goes on as a zombie.
    Expired,
}

/// What the coordinator tells a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Assigned(Vec<usize>),
    Revoked(Vec<usize>),
    /// Everything it had may be another's already.
    Lost,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    pub offset: i64,
    pub metadata: String,
    /// Which making of the topic it was committed for.
    pub log: u32,
}

#[derive(Debug)]
struct CommitRequest {
    generation: u32,
    offsets: Vec<(usize, GroupOffset)>,
}

#[derive(Debug)]
pub struct Group {
    generation: u32,
    members: Vec<Member>,
    /// By partition: who has it, as far as the coordinator knows.
    owners: Vec<Option<usize>>,
    /// By partition: told to give it back and not done yet.
    revoking: Vec<bool>,
    told: Vec<VecDeque<Told>>,
    pub offsets: Vec<Option<GroupOffset>>,
    /// By member: commits that have not reached the coordinator.
    commits: Vec<VecDeque<CommitRequest>>,
    pub rebalance_due: bool,
}

impl Group {
    pub fn new(partitions: usize, instances: usize) -> Group {
        Group {
            generation: 1,
            members: vec![Member::Out; instances],
            owners: vec![None; partitions],
            revoking: vec![false; partitions],
            told: vec![VecDeque::new(); instances],
            offsets: vec![None; partitions],
            commits: (0..instances).map(|_| VecDeque::new()).collect(),
            rebalance_due: false,
        }
    }

    pub fn owner(&self, partition: usize) -> Option<usize> {
        self.owners[partition]
    }

    /// Whether the coordinator counts it as a member: what it commits is taken.
    pub fn is_member(&self, instance: usize) -> bool {
        self.members[instance] == Member::In
    }

    /// Lost its session and does not know it yet.
    pub fn is_zombie(&self, instance: usize) -> bool {
        self.members[instance] == Member::Expired
    }

    pub fn is_dead_member(&self, instance: usize) -> bool {
        self.members[instance] == Member::Dead
    }

    pub fn has_told(&self, instance: usize) -> bool {
        !self.told[instance].is_empty()
    }

    pub fn hear(&mut self, instance: usize) -> Option<Told> {
        let told = self.told[instance].pop_front();
        if told == Some(Told::Lost) {
            self.members[instance] = Member::Out;
        }
        told
    }

    fn free(&mut self, instance: usize) {
        for (owner, revoking) in self.owners.iter_mut().zip(&mut self.revoking) {
            if *owner == Some(instance) {
                *owner = None;
                *revoking = false;
            }
        }
        self.told[instance].clear();
        self.rebalance_due = true;
    }

    pub fn join(&mut self, instance: usize) {
        self.free(instance);
        self.commits[instance].clear();
        self.members[instance] = Member::In;
    }

    /// A member that leaves in order, with nothing assigned any more.
    pub fn leave(&mut self, instance: usize) {
        self.free(instance);
        self.members[instance] = Member::Out;
    }

    /// The process dies; its commits may still be on their way.
    pub fn die(&mut self, instance: usize) {
        self.told[instance].clear();
        self.members[instance] = match self.members[instance] {
            Member::In | Member::Dead => Member::Dead,
            Member::Out | Member::Expired => Member::Out,
        };
    }

    /// The session of a member expires.
    pub fn expire(&mut self, instance: usize) {
        let then = match self.members[instance] {
            Member::In => Member::Expired,
            Member::Dead => Member::Out,
            Member::Out | Member::Expired => return,
        };
        self.free(instance);
        self.members[instance] = then;
        if then == Member::Expired {
            self.told[instance].push_back(Told::Lost);
        }
    }

    /// The members get a new assignment. What moves is first given back. Whether anything did.
    pub fn rebalance(&mut self, shuffle: bool, rng: &mut Rng) -> bool {
        self.rebalance_due = false;
        let members: Vec<usize> =
            (0..self.members.len()).filter(|number| self.is_member(*number)).collect();
        if members.is_empty() {
            return false;
        }
        self.generation += 1;
        let mut assigned = vec![Vec::new(); self.members.len()];
        let mut revoked = vec![Vec::new(); self.members.len()];
        for partition in 0..self.owners.len() {
            match self.owners[partition] {
                None => {
                    let owner = *rng.pick(&members);
                    self.owners[partition] = Some(owner);
                    assigned[owner].push(partition);
                }
                Some(owner) if shuffle && self.is_member(owner) && !self.revoking[partition] => {
                    if *rng.pick(&members) != owner {
                        self.revoking[partition] = true;
                        revoked[owner].push(partition);
                    }
                }
                Some(_) => {}
            }
        }
        let mut moved = false;
        for member in members {
            let (assigned, revoked) = (&mut assigned[member], &mut revoked[member]);
            moved |= !assigned.is_empty() || !revoked.is_empty();
            if !revoked.is_empty() {
                self.told[member].push_back(Told::Revoked(std::mem::take(revoked)));
            }
            if !assigned.is_empty() {
                self.told[member].push_back(Told::Assigned(std::mem::take(assigned)));
            }
        }
        moved
    }

    /// A member has given partitions back.
    pub fn gave_back(&mut self, instance: usize, partitions: &[usize]) {
        for partition in partitions {
            if self.owners[*partition] == Some(instance) && self.revoking[*partition] {
                self.owners[*partition] = None;
                self.revoking[*partition] = false;
                self.rebalance_due = true;
            }
        }
    }

    /// A commit sets off.
    pub fn send_commit(&mut self, instance: usize, offsets: Vec<(usize, GroupOffset)>) {
        // A member whose session expired carries the generation that it last knew.
        let generation = match self.members[instance] {
            Member::Expired | Member::Out => 0,
            Member::In | Member::Dead => self.generation,
        };
        self.commits[instance].push_back(CommitRequest { generation, offsets });
    }

    pub fn has_commits(&self, instance: usize) -> bool {
        !self.commits[instance].is_empty()
    }

    /// The oldest commit of a member is lost on its way.
    pub fn lose_commit(&mut self, instance: usize) {
        self.commits[instance].pop_front();
    }

    /// The oldest commit of a member arrives: what it set, nothing when it was refused.
    pub fn take_commit(&mut self, instance: usize) -> Vec<(usize, GroupOffset)> {
        let Some(request) = self.commits[instance].pop_front() else { return Vec::new() };
        let known = matches!(self.members[instance], Member::In | Member::Dead);
        if !known || request.generation != self.generation {
            return Vec::new();
        }
        for (partition, offset) in &request.offsets {
            self.offsets[*partition] = Some(offset.clone());
        }
        request.offsets
    }
}
