//! Runs compiled filters in a small interpreter of classic BPF and compares with what the profile says.

use super::*;
use crate::sys::seccomp::Instruction;

const X86_64: u32 = 0xc000_003e;

/// What the filter returns for a system call.
fn run(filter: &Filter, arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let word = |offset: u32| match offset {
        0 => number,
        4 => arch,
        _ => {
            let half = if offset % 8 == 4 { 32 } else { 0 };
            u32::try_from(args[((offset - 16) / 8) as usize] >> half & u64::from(u32::MAX)).unwrap()
        }
    };
    let (mut pc, mut acc) = (0_usize, 0_u32);
    loop {
        let Instruction { code, jt, jf, k } = filter.program[pc];
        let code = u32::from(code);
        pc += 1;
        match code & 7 {
            libc::BPF_LD => acc = word(k),
            libc::BPF_ALU => acc &= k,
            libc::BPF_RET => return k,
            libc::BPF_JMP => {
                let taken = match code & 0xf0 {
                    libc::BPF_JA => {
                        pc += k as usize;
                        continue;
                    }
                    libc::BPF_JEQ => acc == k,
                    libc::BPF_JGT => acc > k,
                    libc::BPF_JGE => acc >= k,
                    other => panic!("jump {other:#x}"),
                };
                pc += usize::from(if taken { jt } else { jf });
            }
            other => panic!("class {other}"),
        }
    }
}

fn compile(json: &str) -> Filter {
    Filter::compile(&serde_json::from_str(json).unwrap()).unwrap()
}

const EPERM: u32 = libc::SECCOMP_RET_ERRNO | 1;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | 38;
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

/// The shape of Docker's default profile: deny by default, allow lists, conditions, clone3 to ENOSYS.
const DOCKER_LIKE: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "syscalls": [
        {"names": ["read", "write", "mmap", "no_such_call", "_llseek", "openat", "exit_group"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]},
        {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 131072, "op": "SCMP_CMP_EQ"}]},
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    ]}"#;

fn call(filter: &Filter, name: &str, args: [u64; 6]) -> u32 {
    run(filter, X86_64, syscalls::number(name).unwrap(), args)
}

#[test]
fn a_profile_like_dockers_is_obeyed() {
    let filter = compile(DOCKER_LIKE);
    let none = [0; 6];
    for allowed in ["read", "write", "mmap", "openat", "exit_group"] {
        assert_eq!(call(&filter, allowed, none), ALLOW, "{allowed}");
    }
    for denied in ["open", "mount", "bpf", "reboot", "mseal", "close"] {
        assert_eq!(call(&filter, denied, none), EPERM, "{denied}");
    }
    assert_eq!(call(&filter, "clone3", none), ENOSYS);
    assert_eq!(call(&filter, "personality", [0, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(call(&filter, "personality", [131_072, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(call(&filter, "personality", [8, 0, 0, 0, 0, 0]), EPERM);
    assert_eq!(call(&filter, "personality", [1 << 32, 0, 0, 0, 0, 0]), EPERM, "the high half counts");
    assert_eq!(call(&filter, "socket", [1, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(call(&filter, "socket", [40, 0, 0, 0, 0, 0]), EPERM);
    assert_eq!(call(&filter, "socket", [40 + (1 << 32), 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(call(&filter, "clone", [0x11, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(call(&filter, "clone", [0x2000_0000, 0, 0, 0, 0, 0]), EPERM, "CLONE_NEWPID");
}

#[test]
fn other_architectures_and_unknown_numbers_do_not_slip_through() {
    let filter = compile(DOCKER_LIKE);
    assert_eq!(run(&filter, 0x4000_0003, 0, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
    assert_eq!(run(&filter, X86_64, 0x4000_0000, [0; 6]), EPERM, "x32's read");
    assert_eq!(run(&filter, X86_64, u32::MAX, [0; 6]), EPERM);
}

#[test]
fn an_empty_deny_list_allows_all() {
    let filter = compile(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#);
    assert_eq!(run(&filter, X86_64, 0, [0; 6]), ALLOW);
    assert_eq!(run(&filter, X86_64, 999, [0; 6]), ALLOW);
}

#[test]
fn the_first_number_may_be_the_only_rule() {
    let filter = compile(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#,
    );
    assert_eq!(run(&filter, X86_64, 0, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
    assert_eq!(run(&filter, X86_64, 1, [0; 6]), ALLOW);
}

#[test]
fn what_cannot_be_enforced_is_refused() {
    for refused in [
        r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#,
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#,
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]}"#,
    ] {
        assert!(Filter::compile(&serde_json::from_str(refused).unwrap()).is_err(), "{refused}");
    }
}

#[test]
fn every_number_gets_its_own_action_whatever_the_neighbours() {
    // Every third call is refused with its own errno: hundreds of segments, so the search needs long jumps.
    let rules: Vec<String> = (0..460)
        .step_by(3)
        .filter_map(|number| {
            let name = name_of(number)?;
            Some(format!(
                r#"{{"names": ["{name}"], "action": "SCMP_ACT_ERRNO", "errnoRet": {}}}"#,
                number + 2
            ))
        })
        .collect();
    let filter =
        compile(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{}]}}"#, rules.join(",")));
    for number in 0..500 {
        let expected = if number < 460 && number % 3 == 0 && name_of(number).is_some() {
            libc::SECCOMP_RET_ERRNO | (number + 2)
        } else {
            ALLOW
        };
        assert_eq!(run(&filter, X86_64, number, [0; 6]), expected, "system call {number}");
    }
}

fn name_of(number: u32) -> Option<&'static str> {
    syscalls::SYSCALLS.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

proptest::proptest! {
    /// All operators against their meaning on 64-bit numbers.
    #[test]
    fn operators_mean_what_they_say(
        value: u64, other: u64, close in -2_i64..3, index in 0_usize..6, near: bool, mask: u64,
    ) {
        let argument = if near { value.wrapping_add_signed(close) } else { other };
        let holds = [
            ("NE", argument != value), ("LT", argument < value), ("LE", argument <= value),
            ("EQ", argument == value), ("GE", argument >= value), ("GT", argument > value),
        ];
        let mut args = [!argument; 6];
        args[index] = argument;
        for (op, holds) in holds {
            let filter = compile(&format!(
                r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["read"], "action": "SCMP_ACT_ERRNO",
                    "args": [{{"index": {index}, "value": {value}, "op": "SCMP_CMP_{op}"}}]}}]}}"#
            ));
            proptest::prop_assert_eq!(run(&filter, X86_64, 0, args), if holds { EPERM } else { ALLOW }, "{}", op);
        }
        let filter = compile(&format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["read"], "action": "SCMP_ACT_ERRNO",
                "args": [{{"index": {index}, "value": {mask}, "valueTwo": {value}, "op": "SCMP_CMP_MASKED_EQ"}}]}}]}}"#
        ));
        let expected = if argument & mask == value { EPERM } else { ALLOW };
        proptest::prop_assert_eq!(run(&filter, X86_64, 0, args), expected);
    }
}
