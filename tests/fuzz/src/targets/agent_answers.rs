//! What a guest's agent answers, which the guest may have taken over: frames and messages of any kind, to each call.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use holm_runtime::sandbox::{AgentClient, Transfer, TransferRequest};

use crate::Target;
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "agent_answers",
    run,
    seeds,
    max_bytes: 4096,
    code: &["runtime/src/sandbox/agent_client.rs", "runtime/src/sandbox/usage.rs"],
    words: &[],
};

/// A frame's header: length and stream, both in network order, type and flags.
const HEADER_BYTES: usize = 10;
const RESPONSE: u8 = 2;
/// ttrpc's own limit.
const MAX_MESSAGE_BYTES: u32 = 4 << 20;
/// What follows the call is one answer in a frame of its own; otherwise bytes as they are.
const FRAMED: u8 = 1;
const CALLS: u8 = 12;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (call, kind) = (input.u8() % CALLS, input.u8());
    let mut answer = input.rest().to_vec();
    // ttrpc throws a message away that is too long, page by page, also when there is no more of it: half a second for each claim of
    // 4 GiB. One a little too long shows the same.
    if let Some((length, _)) = answer.split_first_chunk_mut().filter(|_| kind & FRAMED == 0) {
        let claimed = u32::from_be_bytes(*length);
        if claimed > MAX_MESSAGE_BYTES {
            *length = (MAX_MESSAGE_BYTES + claimed % 2).to_be_bytes();
        }
    }
    let (own, agents) = UnixStream::pair().unwrap();
    let agent = thread::spawn(move || agent(agents, kind, &answer));
    let client = AgentClient::new(own, "c0ffee").unwrap();
    match call {
        0 => drop(client.rehearse()),
        1 => drop(client.start_process("")),
        2 => {
            if let Ok(exit) = client.wait_process("") {
                drop(format!("{exit:?}"));
            }
        }
        3 => drop(client.signal_process("x", 9)),
        4 => drop(client.signal_container(9)),
        5 => drop(client.resize_process("x", 80, 24)),
        6 => {
            for process in client.processes().unwrap_or_default() {
                let text = process.command + &process.tty;
                assert!(text.chars().all(|c| !c.is_control()), "what a guest says is printed as it is");
            }
        }
        7 => drop(client.usage()),
        8 => drop(client.freeze()),
        9 => drop(client.stat_file("/etc", true)),
        10 => {
            let request = TransferRequest { id: "t".to_owned(), what: Transfer::MeasureLayer, pause: false };
            drop(client.transfer(&request));
        }
        _ => drop(client.shutdown()),
    }
    drop(client);
    agent.join().unwrap();
}

/// Waits for a call, answers it, and hangs up.
fn agent(mut stream: UnixStream, kind: u8, answer: &[u8]) {
    let mut header = [0; HEADER_BYTES];
    if stream.read_exact(&mut header).is_err() {
        return;
    }
    if kind & FRAMED != 0 {
        let mut frame = (answer.len() as u32).to_be_bytes().to_vec();
        frame.extend(&header[4..8]);
        frame.extend([RESPONSE, 0]);
        let _ = stream.write_all(&frame);
    }
    let _ = stream.write_all(answer);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    // Until the caller has hung up, too.
    let _ = stream.read_to_end(&mut Vec::new());
}

/// A field of a message: bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat()
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for call in 0..CALLS {
        let answered = |payload: &[u8]| {
            let response = [field(1, &[]), field(2, payload)].concat();
            Output::default().u8(call).u8(FRAMED).bytes(&response).0
        };
        seeds.push(answered(b""));
        // Numbers, text, and messages in messages.
        seeds.push(answered(&[8, 7, 16, 9, 24, 1]));
        let process =
            [&[8, 5, 16, 1, 24, 0][..], &field(4, b"pts/0"), &[40, 99, 48, 77], &field(7, b"sh -c \x1b[2J")]
                .concat();
        seeds.push(answered(&field(1, &process)));
        seeds.push(answered(&[field(1, b"/etc"), vec![16, 0xed, 0x83, 2]].concat()));
        // The agent refuses.
        let status = [vec![8, 5], field(2, b"no such \x1b[31mprocess\n")].concat();
        seeds.push(Output::default().u8(call).u8(FRAMED).bytes(&field(1, &status)).0);
        let raw = |bytes: &[u8]| Output::default().u8(call).u8(0).bytes(bytes).0;
        seeds.push(raw(&[0, 0, 0, 2, 0, 0, 0, 1, 2, 0, 18, 0]));
        seeds.push(raw(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 2, 0]));
        seeds.push(raw(&[0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 1, 2, 3]));
        seeds.push(raw(b""));
    }
    seeds
}
