//! From the table to a program for the kernel (classic BPF, Linux `Documentation/userspace-api/seccomp_filter.rst`), when Holm is
//! built: a start only hands it over.
//!
//! ```text
//!   architecture ──► number, by halves of what is allowed ──► arguments, where they count ──► allowed
//!        └─────────────────────┴──────────────────────────────────────┴──────────────────────► the process ends
//! ```
//!
//! By halves and not one after another, because the kernel goes through the program once for every system call that there is when
//! it is installed, and again for each call whose arguments count.

use std::mem::offset_of;

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW,
    SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, seccomp_data, sock_filter,
};

use super::syscalls::{Arguments, Call};

/// Linux `AUDIT_ARCH_X86_64` of linux/audit.h.
const X86_64: u32 = 0xc000_003e;
/// More than any role takes; a longer one does not build.
const MOST_INSTRUCTIONS: usize = 256;
/// The same, of system calls.
const MOST_CALLS: usize = 96;
/// A jump over nothing.
const NEXT: u8 = 0;

/// What the kernel runs at each system call.
#[derive(Debug)]
pub(super) struct Program {
    instructions: [sock_filter; MOST_INSTRUCTIONS],
    length: usize,
    /// The instruction that compares with the process's id, which nobody knows before.
    compares_process: Option<usize>,
}

impl Program {
    /// Allows these calls. Of two with the same number, the later counts.
    pub(super) const fn allowing(groups: &[&[Call]]) -> Self {
        let (calls, count) = sorted(groups);
        let mut program = Self {
            instructions: [instruction(0, NEXT, NEXT, 0); MOST_INSTRUCTIONS],
            length: 0,
            compares_process: None,
        };
        program.load(offset_of!(seccomp_data, arch));
        program.push(BPF_JMP | BPF_JEQ | BPF_K, 1, NEXT, X86_64);
        program.end(SECCOMP_RET_KILL_PROCESS);
        program.load(offset_of!(seccomp_data, nr));
        program.search(calls.split_at(count).0);
        program
    }

    /// For a process of this id.
    pub(super) fn of_process(&self, pid: u32) -> Vec<sock_filter> {
        let mut instructions = self.instructions[..self.length].to_vec();
        if let Some(comparison) = self.compares_process {
            instructions[comparison].k = pid;
        }
        instructions
    }

    /// Finds the number that is loaded.
    const fn search(&mut self, calls: &[Call]) {
        if let [call] = calls {
            let comparison = self.length;
            self.push(BPF_JMP | BPF_JEQ | BPF_K, NEXT, NEXT, call.number);
            self.judge(&call.arguments);
            self.instructions[comparison].jf = self.distance_from(comparison);
            return self.end(SECCOMP_RET_KILL_PROCESS);
        }
        let (low, high) = calls.split_at(calls.len() / 2);
        let comparison = self.length;
        self.push(BPF_JMP | BPF_JGE | BPF_K, NEXT, NEXT, high[0].number);
        self.search(low);
        self.instructions[comparison].jt = self.distance_from(comparison);
        self.search(high);
    }

    /// Allows what is as it must be, and goes on behind itself with the rest.
    const fn judge(&mut self, arguments: &Arguments) {
        match arguments {
            Arguments::Any => self.end(SECCOMP_RET_ALLOW),
            Arguments::Missing => self.end(SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
            Arguments::OneOf(index, values) => {
                self.load(lower_half(*index));
                let mut at = 0;
                while at < values.len() {
                    self.push(BPF_JMP | BPF_JEQ | BPF_K, NEXT, 1, values[at]);
                    self.end(SECCOMP_RET_ALLOW);
                    at += 1;
                }
            }
            Arguments::ThisProcess(index) => {
                assert!(self.compares_process.is_none());
                self.load(lower_half(*index));
                self.compares_process = Some(self.length);
                self.push(BPF_JMP | BPF_JEQ | BPF_K, NEXT, 1, 0);
                self.end(SECCOMP_RET_ALLOW);
            }
            Arguments::With(index, bit) => {
                self.load(lower_half(*index));
                self.push(BPF_JMP | BPF_JSET | BPF_K, NEXT, 1, *bit);
                self.end(SECCOMP_RET_ALLOW);
            }
            Arguments::Without(index, bit) => {
                self.load(lower_half(*index));
                self.push(BPF_JMP | BPF_JSET | BPF_K, 1, NEXT, *bit);
                self.end(SECCOMP_RET_ALLOW);
            }
        }
    }

    #[allow(clippy::cast_possible_truncation)] // seccomp_data has 64 bytes
    const fn load(&mut self, offset: usize) {
        self.push(BPF_LD | BPF_W | BPF_ABS, NEXT, NEXT, offset as u32);
    }

    const fn end(&mut self, verdict: u32) {
        self.push(BPF_RET | BPF_K, NEXT, NEXT, verdict);
    }

    const fn push(&mut self, code: u32, if_so: u8, if_not: u8, operand: u32) {
        self.instructions[self.length] = instruction(code, if_so, if_not, operand);
        self.length += 1;
    }

    /// How far a jump at `from` goes to reach what comes next.
    #[allow(clippy::cast_possible_truncation)] // checked
    const fn distance_from(&self, from: usize) -> u8 {
        let distance = self.length - from - 1;
        assert!(distance <= u8::MAX as usize);
        distance as u8
    }
}

#[allow(clippy::cast_possible_truncation)] // its codes have a byte
const fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

/// Of an argument, on a little-endian machine.
const fn lower_half(index: usize) -> usize {
    offset_of!(seccomp_data, args) + 8 * index
}

/// By their numbers, and how many.
pub(super) const fn sorted(groups: &[&[Call]]) -> ([Call; MOST_CALLS], usize) {
    let mut calls = [Call::NONE; MOST_CALLS];
    let mut count = 0;
    let mut group = 0;
    while group < groups.len() {
        let mut next = 0;
        while next < groups[group].len() {
            let call = groups[group][next];
            let mut at = count;
            while at > 0 && calls[at - 1].number >= call.number {
                at -= 1;
            }
            if at == count || calls[at].number != call.number {
                let mut moved = count;
                while moved > at {
                    calls[moved] = calls[moved - 1];
                    moved -= 1;
                }
                count += 1;
            }
            calls[at] = call;
            next += 1;
        }
        group += 1;
    }
    (calls, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn call(number: u32, arguments: Arguments) -> Call {
        Call { number, arguments, ..Call::NONE }
    }

    const CALLS: &[&[Call]] = &[
        &[call(60, Arguments::Any), call(1, Arguments::Any), call(16, Arguments::Any)],
        &[
            call(16, Arguments::OneOf(1, &[7, 0xae80])),
            call(9, Arguments::Without(2, 4)),
            call(56, Arguments::With(0, 0x1_0000)),
            call(435, Arguments::Missing),
            call(234, Arguments::ThisProcess(0)),
        ],
    ];

    /// What the kernel would answer.
    fn verdict(program: &[sock_filter], arch: u32, number: u32, arguments: [u32; 3]) -> u32 {
        let load = |offset: u32| match usize::try_from(offset).unwrap() {
            0 => number,
            4 => arch,
            argument => arguments[(argument - 16) / 8],
        };
        let (mut loaded, mut at) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            let holds = match u32::from(code) & 0xf7 {
                code if code == BPF_RET => return k,
                code if code == BPF_LD | BPF_ABS => {
                    loaded = load(k);
                    false
                }
                code if code == BPF_JMP | BPF_JEQ => loaded == k,
                code if code == BPF_JMP | BPF_JGE => loaded >= k,
                code if code == BPF_JMP | BPF_JSET => loaded & k != 0,
                code => panic!("{code:x}"),
            };
            at += 1 + usize::from(if holds { jt } else { jf });
        }
    }

    #[test]
    fn exactly_what_is_in_the_table_is_allowed() {
        let program = Program::allowing(CALLS).of_process(4711);
        let ask = |number, arguments| verdict(&program, X86_64, number, arguments);
        for number in 0..1024 {
            let expected = match number {
                1 | 9 | 60 => SECCOMP_RET_ALLOW,
                435 => SECCOMP_RET_ERRNO | 38,
                _ => SECCOMP_RET_KILL_PROCESS,
            };
            assert_eq!(ask(number, [0; 3]), expected, "{number}");
            assert_eq!(verdict(&program, 0x4000_0003, number, [0; 3]), SECCOMP_RET_KILL_PROCESS);
            assert_eq!(ask(number | 0x4000_0000, [0; 3]), SECCOMP_RET_KILL_PROCESS, "x32's {number}");
        }
        for (number, arguments, allowed) in [
            (16, [0, 7, 0], true),
            (16, [7, 0xae80, 9], true),
            (16, [7, 8, 7], false),
            (234, [4711, 0, 0], true),
            (234, [1, 4711, 0], false),
            (9, [4, 4, 3], true),
            (9, [0, 0, 5], false),
            (56, [0x1_0f00, 0, 0], true),
            (56, [0x0_0f00, 0x1_0000, 0], false),
        ] {
            assert_eq!(ask(number, arguments) == SECCOMP_RET_ALLOW, allowed, "{number} {arguments:x?}");
        }
    }
}
