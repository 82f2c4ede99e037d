//! The driver's steps (virtio 1.2 sections 2.1 and 3.1.1).
//!
//! ```text
//!  0 ──► ACKNOWLEDGE ──► +DRIVER ──► +FEATURES_OK ──► +DRIVER_OK
//!  ▲          │             │             │                │        each may also add FAILED, which ends the walk
//!  └──────────┴─────────────┴─────────────┴────────────────┘        status ← 0: reset
//! ```

use bitflags::bitflags;

bitflags! {
    /// The bits that a driver may set.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Status: u32 {
        const ACKNOWLEDGE = 1;
        const DRIVER = 2;
        const DRIVER_OK = 4;
        const FEATURES_OK = 8;
        const FAILED = 128;
    }
}

/// Set by the device only: it needs a reset.
pub(super) const NEEDS_RESET: u32 = 64;

/// What a write to the status register means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Back to the start.
    Reset,
    /// The driver has noticed the device, or knows how to drive it, or repeats itself, or gives up.
    Noted(Status),
    /// The driver has chosen its features.
    FeaturesOk(Status),
    /// The driver is ready.
    DriverOk(Status),
    /// Not a step from where the driver is.
    Refused,
}

impl Status {
    /// The step that writing `value` takes from here.
    pub(super) fn step(self, value: u32) -> Step {
        if value == 0 {
            return Step::Reset;
        }
        // A driver that reads the register to add a bit writes the device's own bit back.
        let Some(next) = Self::from_bits(value & !NEEDS_RESET) else { return Step::Refused };
        let features_ok = Self::ACKNOWLEDGE | Self::DRIVER | Self::FEATURES_OK;
        if next == self || next == self | Self::FAILED {
            return Step::Noted(next);
        }
        match (self, next) {
            (from, Self::ACKNOWLEDGE) if from.is_empty() => Step::Noted(next),
            (Self::ACKNOWLEDGE, to) if to == Self::ACKNOWLEDGE | Self::DRIVER => Step::Noted(next),
            (from, to) if from == Self::ACKNOWLEDGE | Self::DRIVER && to == features_ok => {
                Step::FeaturesOk(next)
            }
            (from, to) if from == features_ok && to == features_ok | Self::DRIVER_OK => Step::DriverOk(next),
            _ => Step::Refused,
        }
    }

    /// Whether features may be chosen.
    pub(super) fn may_choose_features(self) -> bool {
        self == Self::ACKNOWLEDGE | Self::DRIVER
    }

    /// Whether queues may be set up.
    pub(super) fn may_set_up_queues(self) -> bool {
        self == Self::ACKNOWLEDGE | Self::DRIVER | Self::FEATURES_OK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_has_one_order() {
        let walk = [0, 1, 3, 11, 15];
        for (place, &from) in walk.iter().enumerate() {
            for value in 1..512 {
                let bare = value & !NEEDS_RESET;
                let allowed = bare == from || bare == from | 128 || walk.get(place + 1) == Some(&bare);
                let step = Status::from_bits_truncate(from).step(value);
                assert_eq!(step != Step::Refused, allowed, "{from} to {value}");
            }
            assert_eq!(Status::from_bits_truncate(from).step(0), Step::Reset);
        }
    }

    #[test]
    fn a_failed_driver_only_gets_out_by_reset() {
        let failed = Status::ACKNOWLEDGE | Status::FAILED;
        assert_eq!(Status::ACKNOWLEDGE.step(129), Step::Noted(failed));
        assert_eq!(failed.step(131), Step::Refused);
        assert_eq!(failed.step(1), Step::Refused);
        assert_eq!(failed.step(0), Step::Reset);
    }
}
