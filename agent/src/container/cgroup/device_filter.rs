//! The device controller of cgroup v2: `linux.resources.devices` as a BPF program (BPF_PROG_TYPE_CGROUP_DEVICE).
//!
//! The program keeps the requested accesses that no rule has granted yet, and walks the rules from the last to the
//! first, so that later rules win, for each of r, w and m on its own:
//!
//! ```text
//! remaining = requested
//! for rule in rules.reversed(), if it is about this device:
//!     allow: remaining &= ~rule.access; if remaining == 0 return 1
//!     deny:  if remaining & rule.access return 0
//! return 0
//! ```

use crate::fault::Fault;
use crate::oci::DeviceRule;
use crate::sys::bpf::Instruction;

/// `BPF_DEVCG_DEV_*` and `BPF_DEVCG_ACC_*` of linux/bpf.h.
const BLOCK: i32 = 1;
const CHAR: i32 = 2;
const MKNOD: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;
const ALL: i32 = MKNOD | READ | WRITE;

/// Registers. The context arrives in r1.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const REMAINING: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// Instruction codes of the BPF instruction set (RFC 9669).
const LOAD_WORD: u8 = 0x61;
const MOVE_REGISTER: u8 = 0xbf;
const MOVE: u8 = 0xb7;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_NOT_EQUAL: u8 = 0x55;
const JUMP_EQUAL: u8 = 0x15;
const EXIT: u8 = 0x95;

/// A rule with its words understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    allow: bool,
    /// `None`: both kinds.
    kind: Option<i32>,
    major: Option<i32>,
    minor: Option<i32>,
    access: i32,
}

/// What every container may use, whatever its rules say (as runc): making nodes, and the default devices.
const ALWAYS: [Rule; 10] = [
    allow(CHAR, None, None, MKNOD),
    allow(BLOCK, None, None, MKNOD),
    allow(CHAR, Some(1), Some(3), ALL), // null
    allow(CHAR, Some(1), Some(5), ALL), // zero
    allow(CHAR, Some(1), Some(7), ALL), // full
    allow(CHAR, Some(1), Some(8), ALL), // random
    allow(CHAR, Some(1), Some(9), ALL), // urandom
    allow(CHAR, Some(5), Some(0), ALL), // tty
    allow(CHAR, Some(5), Some(2), ALL), // ptmx
    allow(CHAR, Some(136), None, ALL),  // pts/*
];

const fn allow(kind: i32, major: Option<i32>, minor: Option<i32>, access: i32) -> Rule {
    Rule { allow: true, kind: Some(kind), major, minor, access }
}

/// The program for these rules; `None` when the last word is that everything is allowed.
pub(crate) fn program(rules: &[DeviceRule]) -> Result<Option<Vec<Instruction>>, Fault> {
    let mut parsed = rules.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let everything = Rule { allow: true, kind: None, major: None, minor: None, access: ALL };
    if parsed.last() == Some(&everything) {
        return Ok(None);
    }
    parsed.extend(ALWAYS);
    // The kernel checks every path through the program. Of equal rules the last one decides, the others are never reached.
    let last = |(at, rule): &(usize, &Rule)| !parsed.iter().skip(at + 1).any(|later| later == *rule);
    let rules: Vec<Rule> = parsed.iter().enumerate().filter(last).map(|(_, rule)| *rule).collect();
    let mut program = vec![
        instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(MOVE_REGISTER, REMAINING, KIND, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, REMAINING, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules.iter().rev() {
        program.extend(rule_code(rule));
    }
    program.push(instruction(MOVE, RESULT, 0, 0, 0));
    program.push(instruction(EXIT, 0, 0, 0, 0));
    Ok(Some(program))
}

fn rule_code(rule: &Rule) -> Vec<Instruction> {
    let decision = if rule.allow {
        vec![
            instruction(AND, REMAINING, 0, 0, !rule.access & ALL),
            instruction(JUMP_NOT_EQUAL, REMAINING, 0, 2, 0),
            instruction(MOVE, RESULT, 0, 0, 1),
            instruction(EXIT, 0, 0, 0, 0),
        ]
    } else {
        vec![
            instruction(MOVE_REGISTER, SCRATCH, REMAINING, 0, 0),
            instruction(AND, SCRATCH, 0, 0, rule.access),
            instruction(JUMP_EQUAL, SCRATCH, 0, 2, 0),
            instruction(MOVE, RESULT, 0, 0, 0),
            instruction(EXIT, 0, 0, 0, 0),
        ]
    };
    let tests = [(KIND, rule.kind), (MAJOR, rule.major), (MINOR, rule.minor)];
    let mut skip = i16::try_from(decision.len()).unwrap_or_default();
    let mut code = decision;
    // From the back, so that each test knows how far the next rule is.
    for (register, wanted) in tests.into_iter().rev() {
        if let Some(wanted) = wanted {
            code.insert(0, instruction(JUMP_NOT_EQUAL, register, 0, skip, wanted));
            skip += 1;
        }
    }
    code
}

fn parse(rule: &DeviceRule) -> Result<Rule, Fault> {
    let kind = match rule.kind.as_deref().unwrap_or("a") {
        "a" | "" => None,
        "b" => Some(BLOCK),
        "c" | "u" => Some(CHAR),
        other => return Err(Fault::invalid(format!("device rule has unknown type {other:?}"))),
    };
    let number = |number: Option<i64>| match number {
        Some(number) if number >= 0 => i32::try_from(number)
            .map(Some)
            .map_err(|_| Fault::invalid(format!("device number {number} is out of range"))),
        _ => Ok(None),
    };
    let mut access = 0;
    for letter in rule.access.chars() {
        access |= match letter {
            'r' => READ,
            'w' => WRITE,
            'm' => MKNOD,
            other => return Err(Fault::invalid(format!("device rule has unknown access {other:?}"))),
        };
    }
    let access = if access == 0 { ALL } else { access };
    Ok(Rule { allow: rule.allow, kind, major: number(rule.major)?, minor: number(rule.minor)?, access })
}

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: source << 4 | destination, offset, immediate }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interprets a program for one request, as the kernel would.
    fn allows(rules: &str, kind: i32, major: i64, minor: i64, access: i32) -> bool {
        let rules: Vec<DeviceRule> = serde_json::from_str(rules).unwrap();
        let Some(program) = program(&rules).unwrap() else { return true };
        let mut registers = [0_i64; 11];
        let mut pc = 0;
        loop {
            let Instruction { code, registers: pair, offset, immediate } = program[pc];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            pc += 1;
            match code {
                LOAD_WORD => {
                    registers[to] = match offset {
                        0 => i64::from(access << 16 | kind),
                        4 => major,
                        _ => minor,
                    }
                }
                MOVE_REGISTER => registers[to] = registers[from],
                MOVE => registers[to] = i64::from(immediate),
                AND => registers[to] &= i64::from(immediate),
                SHIFT_RIGHT => registers[to] >>= immediate,
                JUMP_NOT_EQUAL if registers[to] != i64::from(immediate) => {
                    pc += usize::try_from(offset).unwrap()
                }
                JUMP_EQUAL if registers[to] == i64::from(immediate) => pc += usize::try_from(offset).unwrap(),
                JUMP_NOT_EQUAL | JUMP_EQUAL => {}
                EXIT => return registers[0] != 0,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    const DOCKER: &str = r#"[{"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"},
        {"allow": true, "type": "b", "major": 8, "access": "r"},
        {"allow": true, "type": "b", "major": 8, "minor": 1, "access": "w"},
        {"allow": false, "type": "b", "major": 8, "minor": 2, "access": "w"}]"#;

    #[test]
    fn the_default_is_to_deny_all_but_the_default_devices() {
        for rules in ["[]", DOCKER] {
            assert!(allows(rules, CHAR, 1, 3, READ | WRITE), "null");
            assert!(allows(rules, CHAR, 136, 7, READ | WRITE), "pts");
            assert!(allows(rules, BLOCK, 254, 0, MKNOD), "a node may be made");
            assert!(!allows(rules, BLOCK, 254, 0, READ), "but not used");
            assert!(!allows(rules, CHAR, 1, 1, READ), "mem");
            assert!(!allows(rules, CHAR, 1, 4, WRITE), "port");
        }
    }

    #[test]
    fn rules_add_up_and_later_ones_win() {
        assert!(allows(DOCKER, CHAR, 10, 229, READ | WRITE), "fuse");
        assert!(!allows(DOCKER, CHAR, 10, 230, READ));
        assert!(allows(DOCKER, BLOCK, 8, 1, READ | WRITE), "r from one rule and w from another");
        assert!(!allows(DOCKER, BLOCK, 8, 2, READ | WRITE));
        assert!(allows(DOCKER, BLOCK, 8, 2, READ));
        assert!(!allows(DOCKER, CHAR, 8, 1, READ), "not a block device");
    }

    #[test]
    fn privileged_needs_no_program() {
        let rules = r#"[{"allow": false, "access": "rwm"}, {"allow": true, "access": "rwm"}]"#;
        assert_eq!(program(&serde_json::from_str::<Vec<_>>(rules).unwrap()).unwrap(), None);
        let rules = r#"[{"allow": true, "access": "rwm"}, {"allow": false, "type": "b"}]"#;
        assert!(!allows(rules, BLOCK, 8, 0, READ));
        assert!(allows(rules, CHAR, 1, 1, READ));
    }

    #[test]
    fn a_rule_that_comes_again_is_checked_once() {
        let length =
            |rules: &str| program(&serde_json::from_str::<Vec<_>>(rules).unwrap()).unwrap().unwrap().len();
        let null = r#"{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}"#;
        assert_eq!(length(&format!("[{null}, {null}]")), length("[]"));
        let fuse = r#"{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}"#;
        let again = format!(r#"[{fuse}, {{"allow": false, "access": "rwm"}}, {fuse}]"#);
        assert!(allows(&again, CHAR, 10, 229, READ), "the last one decides");
        let denied = format!(r#"[{fuse}, {{"allow": false, "type": "c"}}, {{"allow": false, "type": "c"}}]"#);
        assert!(!allows(&denied, CHAR, 10, 229, READ));
    }

    #[test]
    fn malformed_rules_are_refused() {
        for rules in [r#"[{"type": "x"}]"#, r#"[{"access": "rx"}]"#, r#"[{"major": 99999999999}]"#] {
            assert!(program(&serde_json::from_str::<Vec<_>>(rules).unwrap()).is_err());
        }
    }
}
