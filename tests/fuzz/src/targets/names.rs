//! Questions about names, by which a guest asks the host: one conversation of any messages.

use holm_runtime::network::fuzzing::converse;

use crate::Target;
use crate::input::Output;

pub(crate) const TARGET: Target = Target {
    name: "names",
    run,
    seeds,
    max_bytes: 2048,
    code: &["runtime/src/network/names/answer.rs", "runtime/src/network/names/message.rs"],
    words: &[],
};

fn run(bytes: &[u8]) {
    let Ok(told) = converse(bytes) else { return };
    let mut told = told.as_slice();
    while let Some((length, rest)) = told.split_first_chunk() {
        let (answer, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        told = rest;
        assert!(answer.len() >= 12 && answer[2] & 0x80 != 0, "an answer that is none");
    }
}

/// A question for a name.
fn question(name: &str, kind: u8) -> Vec<u8> {
    let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.extend([0, 0, kind, 0, 1]);
    message
}

fn seeds() -> Vec<Vec<u8>> {
    let over = |transport: u8, messages: &[Vec<u8>]| {
        messages.iter().fold(Output::default().u8(transport), |output, message| {
            output.bytes(&(message.len() as u16).to_be_bytes()).bytes(message)
        })
    };
    let long = "x".repeat(63);
    let names = ["db", "DB.net", "store", "web", "other", "2.0.89.10.in-addr.arpa", "x.in-addr.arpa", &long];
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for kind in [1, 12, 28, 255] {
        let all: Vec<Vec<u8>> = names.iter().map(|name| question(name, kind)).collect();
        seeds.push(over(0, &all).0);
        seeds.push(over(1, &all).0);
    }
    // A name that points to itself, two questions, an answer, another kind of question.
    let mut loops = question("db", 1);
    loops.splice(12.., [0xc0, 12, 0, 1, 0, 1]);
    let mut two = question("db", 1);
    two[5] = 2;
    let mut answer = question("db", 1);
    answer[2] |= 0x80;
    let mut status = question("db", 1);
    status[2] |= 0x10;
    seeds.push(over(0, &[loops, two, answer, status, vec![]]).0);
    seeds.push(over(9, &[]).0);
    seeds
}
