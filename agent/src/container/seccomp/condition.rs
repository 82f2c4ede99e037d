//! One condition on a 64-bit argument, as instructions on its two 32-bit halves.

use super::assemble::{Target, jump, load};
use crate::fault::Fault;
use crate::oci::{SeccompArg, SeccompOperator};
use crate::sys::seccomp::Instruction;

/// Offset of `args` in `struct seccomp_data`, and the size of one.
const ARGS_OFFSET: u32 = 16;
const ARG_BYTES: u32 = 8;
const ARGS: u32 = 6;

/// A checked [`SeccompArg`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    index: u32,
    op: SeccompOperator,
    value: u64,
    mask: u64,
}

impl Condition {
    pub(super) fn new(arg: &SeccompArg) -> Result<Self, Fault> {
        if arg.index >= ARGS {
            return Err(Fault::invalid(format!("seccomp: there is no argument {}", arg.index)));
        }
        let (value, mask) = match arg.op {
            SeccompOperator::MaskedEqual => (arg.value_two, arg.value),
            _ => (arg.value, u64::MAX),
        };
        Ok(Self { index: arg.index, op: arg.op, value, mask })
    }

    /// Instructions that fall through when the condition holds and jump to the symbolic [`Target::Fail`] when not.
    pub(super) fn instructions(&self) -> Vec<(Instruction, Target, Target)> {
        use SeccompOperator as Op;
        use Target::{Fail, Next, Skip};
        let low = ARGS_OFFSET + self.index * ARG_BYTES;
        let (load_high, load_low) = (load(low + 4), load(low));
        let [high, low] = halves(self.value);
        let [high_mask, low_mask] = halves(self.mask);
        let (eq, gt, ge) = (libc::BPF_JEQ, libc::BPF_JGT, libc::BPF_JGE);
        match self.op {
            Op::Equal => vec![load_high, jump(eq, high, Next, Fail), load_low, jump(eq, low, Next, Fail)],
            Op::NotEqual => {
                vec![load_high, jump(eq, high, Next, Skip(2)), load_low, jump(eq, low, Fail, Next)]
            }
            Op::MaskedEqual => vec![
                load_high,
                mask(high_mask),
                jump(eq, high, Next, Fail),
                load_low,
                mask(low_mask),
                jump(eq, low, Next, Fail),
            ],
            // Greater high half decides at once; equal ones leave it to the low half.
            Op::Greater | Op::GreaterOrEqual => vec![
                load_high,
                jump(gt, high, Skip(3), Next),
                jump(eq, high, Next, Fail),
                load_low,
                jump(if self.op == Op::Greater { gt } else { ge }, low, Next, Fail),
            ],
            Op::Less | Op::LessOrEqual => vec![
                load_high,
                jump(gt, high, Fail, Next),
                jump(eq, high, Next, Skip(2)),
                load_low,
                jump(if self.op == Op::Less { ge } else { gt }, low, Fail, Next),
            ],
        }
    }
}

fn mask(mask: u32) -> (Instruction, Target, Target) {
    super::assemble::plain(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask)
}

/// The high and the low 32 bits.
fn halves(value: u64) -> [u32; 2] {
    let low = u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default();
    let high = u32::try_from(value >> 32).unwrap_or_default();
    [high, low]
}
