//! A pattern as an automaton over the characters of a path, and whether two have a path in common.

use super::class::Class;
use super::{Kind, Node};

/// Most pairs of states that are told apart; beyond, two patterns count as having a path in common.
const PAIRS_MAX: usize = 1 << 21;

#[derive(Debug)]
pub(super) struct Automaton<'n> {
    states: Vec<State<'n>>,
    start: usize,
    dots: bool,
}

#[derive(Debug)]
enum State<'n> {
    Accept,
    Take {
        label: Label<'n>,
        next: usize,
    },
    /// All of these without taking anything.
    Fork(Vec<usize>),
    Either([usize; 2]),
}

#[derive(Debug, Clone, Copy)]
enum Label<'n> {
    Char(char),
    /// Any character but a slash.
    Wild,
    Class(&'n Class),
    /// Any character.
    All,
}

impl<'n> Automaton<'n> {
    pub(super) fn new(nodes: &'n [Node], dots: bool) -> Automaton<'n> {
        let mut states = Vec::with_capacity(2 * nodes.len() + 1);
        states.push(State::Accept);
        let mut automaton = Automaton { states, start: 0, dots };
        automaton.start = automaton.sequence(nodes, 0);
        automaton
    }

    fn add(&mut self, state: State<'n>) -> usize {
        self.states.push(state);
        self.states.len() - 1
    }

    fn set(&mut self, at: usize, state: State<'n>) {
        if let Some(place) = self.states.get_mut(at) {
            *place = state;
        }
    }

    /// Where the nodes begin, if `next` comes after them. Built from the end to the front; depth
    /// is that of the tree, which is bounded.
    fn sequence(&mut self, nodes: &'n [Node], next: usize) -> usize {
        nodes.iter().rev().fold(next, |next, node| self.node(node, next))
    }

    fn node(&mut self, node: &'n Node, next: usize) -> usize {
        match node {
            Node::Char(character) => self.add(State::Take { label: Label::Char(*character), next }),
            Node::Any => self.add(State::Take { label: Label::Wild, next }),
            Node::Class(class) => self.add(State::Take { label: Label::Class(class), next }),
            Node::Star => self.any_number(Label::Wild, next),
            Node::Hole => self.any_number(Label::All, next),
            Node::Group { kind: Kind::Not, .. } => self.any_number(Label::Wild, next),
            Node::Group { kind, alternatives } => {
                let again = self.add(State::Fork(Vec::new()));
                let repeats = matches!(kind, Kind::Repeated | Kind::Some);
                let after = if repeats { again } else { next };
                let starts: Vec<usize> =
                    alternatives.iter().map(|nodes| self.sequence(nodes, after)).collect();
                let mut either = starts.clone();
                either.push(next);
                match kind {
                    Kind::Some => {
                        self.set(again, State::Fork(either));
                        self.add(State::Fork(starts))
                    }
                    Kind::One => {
                        self.set(again, State::Fork(starts));
                        again
                    }
                    _ => {
                        self.set(again, State::Fork(either));
                        again
                    }
                }
            }
        }
    }

    fn any_number(&mut self, label: Label<'n>, next: usize) -> usize {
        let fork = self.add(State::Fork(Vec::new()));
        let take = self.add(State::Take { label, next: fork });
        self.set(fork, State::Either([take, next]));
        fork
    }

    pub(super) fn intersects(&self, other: &Automaton<'_>) -> bool {
        let pairs = self.states.len().saturating_mul(other.states.len());
        if pairs > PAIRS_MAX {
            return true;
        }
        // A pair counts twice: at the beginning of a file name, and elsewhere.
        let mut seen = vec![0_u64; (2 * pairs).div_ceil(64)];
        let mut waiting = vec![(self.start, other.start, true)];
        while let Some((mine, others, leads)) = waiting.pop() {
            let bit = 2 * (mine * other.states.len() + others) + usize::from(leads);
            let Some(word) = seen.get_mut(bit / 64) else { return true };
            if *word & (1 << (bit % 64)) != 0 {
                continue;
            }
            *word |= 1 << (bit % 64);
            let (Some(a), Some(b)) = (self.states.get(mine), other.states.get(others)) else {
                return true;
            };
            match (a, b) {
                (State::Accept, State::Accept) => return true,
                (State::Fork(nexts), _) => {
                    waiting.extend(nexts.iter().map(|next| (*next, others, leads)));
                }
                (State::Either(nexts), _) => {
                    waiting.extend(nexts.map(|next| (next, others, leads)))
                }
                (_, State::Fork(nexts)) => {
                    waiting.extend(nexts.iter().map(|next| (mine, *next, leads)));
                }
                (_, State::Either(nexts)) => waiting.extend(nexts.map(|next| (mine, next, leads))),
                (State::Take { label: a, next: mine }, State::Take { label: b, next: others }) => {
                    if a.takes_slash() && b.takes_slash() {
                        waiting.push((*mine, *others, true));
                    }
                    let shut = |label: &Label<'_>, dots: bool| leads && !dots && label.is_wild();
                    if a.meets(b, shut(a, self.dots) || shut(b, other.dots)) {
                        waiting.push((*mine, *others, false));
                    }
                }
                (State::Accept, State::Take { .. }) | (State::Take { .. }, State::Accept) => {}
            }
        }
        false
    }
}

impl Label<'_> {
    fn takes_slash(&self) -> bool {
        matches!(self, Label::Char('/') | Label::All)
    }

    /// Whether the rule of the leading dot holds for it.
    fn is_wild(&self) -> bool {
        matches!(self, Label::Wild | Label::Class(_))
    }

    /// Whether both take a character that is no slash, nor a dot where `no_dot` says so.
    fn meets(&self, other: &Label<'_>, no_dot: bool) -> bool {
        match (self, other) {
            (Label::Char(mine), label) | (label, Label::Char(mine)) => {
                let taken = match label {
                    Label::Char(other) => mine == other,
                    Label::Class(class) => class.has(*mine),
                    Label::Wild | Label::All => true,
                };
                taken && *mine != '/' && !(no_dot && *mine == '.')
            }
            (Label::Class(mine), Label::Class(other)) => mine.meets(other, no_dot),
            (Label::Class(class), _) | (_, Label::Class(class)) => class.has_other(no_dot),
            (Label::Wild | Label::All, Label::Wild | Label::All) => true,
        }
    }
}
