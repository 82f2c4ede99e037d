//! Runs of neighbouring system call numbers that are treated alike.

use std::collections::BTreeMap;

use super::rules::{Action, Alternatives};

/// From `first` up to the next segment's `first`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) first: u32,
    pub(super) alternatives: Alternatives,
    pub(super) otherwise: Action,
}

/// Covers all numbers, in order, with as few segments as possible. The first one starts at 0.
pub(super) fn build(calls: &BTreeMap<u32, Alternatives>, default: Action) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut add = |first: u32, alternatives: &[(Vec<_>, Action)], otherwise: Action| {
        let conditional = !alternatives.is_empty();
        if !conditional
            && segments.last().is_some_and(|last| last.alternatives.is_empty() && last.otherwise == otherwise)
        {
            return;
        }
        segments.push(Segment { first, alternatives: alternatives.to_vec(), otherwise });
    };
    let mut next = 0;
    for (&number, alternatives) in calls {
        if number > next {
            add(next, &[], default);
        }
        match alternatives.as_slice() {
            [(conditions, action)] if conditions.is_empty() => add(number, &[], *action),
            alternatives => add(number, alternatives, default),
        }
        next = number + 1;
    }
    add(next, &[], default);
    segments
}
