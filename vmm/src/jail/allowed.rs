//! The table as a list, for the check of what is allowed against what VMMs do (`make syscalls`).

use super::Role;
use super::program::sorted;
use super::syscalls::{Arguments, Call, DISK, IN_DEBUG_BUILDS, MAIN, NETWORK, SHARES, VCPU, is_a_check};

/// A system call that a role may make: with one value, where it is limited to some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Its constant in C.
    pub name: &'static str,
    /// Its number.
    pub number: u32,
    /// The index of the argument that is looked at, and what it has.
    pub value: Option<(usize, u32)>,
    /// Why it is allowed although no test makes it.
    pub unseen: Option<&'static str>,
}

impl Allowed {
    /// All that a role may do.
    #[must_use]
    pub fn of(role: Role) -> Vec<Self> {
        let (calls, count) = sorted(calls_of(role));
        let calls = calls.into_iter().take(count);
        calls.filter(|call| !matches!(call.arguments, Arguments::Missing)).flat_map(Self::of_call).collect()
    }

    fn of_call(call: Call) -> Vec<Self> {
        let with = |value| Self { name: call.name, number: call.number, value, unseen: call.unseen };
        match call.arguments {
            Arguments::OneOf(index, values) => {
                let unseen = |value| is_a_check(&call, value).then_some(IN_DEBUG_BUILDS).or(call.unseen);
                let with = |value| Self { unseen: unseen(value), ..with(Some((index, value))) };
                values.iter().copied().map(with).collect()
            }
            _ => vec![with(None)],
        }
    }

    /// Whether it allows that call.
    #[must_use]
    pub fn covers(&self, number: u32, arguments: [u64; 6]) -> bool {
        // The filters see no more than the lower half, either.
        let has = |(index, value): (usize, u32)| arguments[index] & u64::from(u32::MAX) == u64::from(value);
        self.number == number && self.value.is_none_or(has)
    }
}

/// The groups of a role in the table.
pub(super) const fn calls_of(role: Role) -> &'static [&'static [Call]] {
    match role {
        Role::Main => MAIN,
        Role::Vcpu => VCPU,
        Role::Disk => DISK,
        Role::Network => NETWORK,
        Role::Shares => SHARES,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Those of release builds.
    fn numbers(roles: &[Role]) -> BTreeSet<u32> {
        let all = roles.iter().flat_map(|role| Allowed::of(*role));
        all.filter(|call| call.unseen != Some(IN_DEBUG_BUILDS)).map(|call| call.number).collect()
    }

    #[test]
    fn few_calls_are_allowed() {
        assert!(numbers(&[Role::Vcpu]).len() <= 18);
        let but_shares = [Role::Main, Role::Vcpu, Role::Disk, Role::Network];
        assert!(numbers(&but_shares).len() <= 40, "{}", numbers(&but_shares).len());
        assert!(numbers(&Role::ALL).len() <= 73, "{}", numbers(&Role::ALL).len());
    }
}
