//! Segments to instructions: a check of the architecture, a binary search over the numbers, a body per segment.

use super::rules::Action;
use super::segments::Segment;
use crate::fault::Fault;
use crate::sys::seccomp::Instruction;

/// `AUDIT_ARCH_X86_64` of linux/audit.h.
const ARCH_X86_64: u32 = 0xc000_003e;
/// Offsets in `struct seccomp_data`.
const NUMBER_OFFSET: u32 = 0;
const ARCH_OFFSET: u32 = 4;
/// `BPF_MAXINSNS`.
const MAX_INSTRUCTIONS: usize = 4096;

/// Where a jump goes, counted from the instruction after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The next instruction.
    Next,
    /// Over this many instructions.
    Skip(u8),
    /// To the end of the list of conditions: they do not hold.
    Fail,
}

/// An instruction without jumps.
pub(super) fn plain(code: u32, k: u32) -> (Instruction, Target, Target) {
    (instruction(code, k), Target::Next, Target::Next)
}

/// Loads 32 bits of `struct seccomp_data`.
pub(super) fn load(offset: u32) -> (Instruction, Target, Target) {
    plain(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

/// A conditional jump against a constant.
pub(super) fn jump(test: u32, k: u32, yes: Target, no: Target) -> (Instruction, Target, Target) {
    (instruction(libc::BPF_JMP | test | libc::BPF_K, k), yes, no)
}

/// The whole filter.
pub(super) fn program(segments: &[Segment]) -> Result<Vec<Instruction>, Fault> {
    let mut program = vec![
        load(ARCH_OFFSET).0,
        branch(libc::BPF_JEQ, ARCH_X86_64, 1, 0),
        ret(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER_OFFSET).0,
    ];
    program.extend(search(segments)?);
    if program.len() > MAX_INSTRUCTIONS {
        return Err(too_long());
    }
    Ok(program)
}

/// Finds the segment of the number in the accumulator. Lower half first, then the upper one.
fn search(segments: &[Segment]) -> Result<Vec<Instruction>, Fault> {
    match segments {
        [] => Ok(Vec::new()),
        [segment] => body(segment),
        several => {
            let (low, high) = several.split_at(several.len() / 2);
            let Some(boundary) = high.first().map(|segment| segment.first) else { return search(low) };
            let (low, high) = (search(low)?, search(high)?);
            let mut code = match u8::try_from(low.len()) {
                Ok(length) => vec![branch(libc::BPF_JGE, boundary, length, 0)],
                // Conditional jumps reach 255 instructions; an unconditional one reaches any.
                Err(_) => vec![
                    branch(libc::BPF_JGE, boundary, 0, 1),
                    instruction(
                        libc::BPF_JMP | libc::BPF_JA,
                        u32::try_from(low.len()).map_err(|_| too_long())?,
                    ),
                ],
            };
            code.extend(low);
            code.extend(high);
            Ok(code)
        }
    }
}

/// Tries the alternatives of a segment in turn.
fn body(segment: &Segment) -> Result<Vec<Instruction>, Fault> {
    let mut code = Vec::new();
    for (conditions, action) in &segment.alternatives {
        let tests: Vec<_> = conditions.iter().flat_map(|condition| condition.instructions()).collect();
        let length = tests.len();
        for (position, (mut test, yes, no)) in tests.into_iter().enumerate() {
            // Behind the tests stands the `ret` of their success, then comes what follows a failure.
            let to_failure = u8::try_from(length - position).map_err(|_| too_long())?;
            let distance = |target| match target {
                Target::Next => 0,
                Target::Skip(count) => count,
                Target::Fail => to_failure,
            };
            (test.jt, test.jf) = (distance(yes), distance(no));
            code.push(test);
        }
        code.push(ret(*action));
    }
    // Unreachable after an alternative without conditions, which the kernel does not mind.
    code.push(ret(segment.otherwise));
    Ok(code)
}

fn ret(action: Action) -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, action)
}

fn branch(test: u32, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { jt, jf, ..instruction(libc::BPF_JMP | test | libc::BPF_K, k) }
}

fn instruction(code: u32, k: u32) -> Instruction {
    Instruction { code: u16::try_from(code).unwrap_or_default(), jt: 0, jf: 0, k }
}

fn too_long() -> Fault {
    Fault::invalid("the seccomp profile is too long for one filter")
}
