//! Streams (M30) and signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use holm_e2e::{Holm, TestImage};

#[test]
fn m30_streams_stay_apart_and_complete() {
    let holm = Holm::with(TestImage::Busybox);
    let out = holm.run(["busybox", "sh", "-c", "echo out; echo err >&2; printf 'no newline'"]);
    assert_eq!((out.ok().as_str(), out.err().as_str()), ("out\nno newline", "err"));
}

#[test]
fn m30_every_byte_value_survives_both_ways() {
    let holm = Holm::with(TestImage::Busybox);
    let bytes: Vec<u8> = (0..=255_u8).cycle().take(1_000_000).collect();
    let out = holm.holm(["run", "--rm", "-i", "busybox", "cat"]).outcome_with_input(&bytes);
    assert_eq!(out.code, 0, "{}", out.err());
    assert!(out.stdout == bytes, "{} of {} bytes", out.stdout.len(), bytes.len());
}

#[test]
fn m30_a_gibibyte_passes_through_unchanged() {
    const STREAM_MIB: u32 = 1024;
    let holm = Holm::with(TestImage::Busybox);
    // Not logged: a gibibyte of bytes that are no text takes longer to write down than to carry.
    let words = ["run", "--rm", "-i", "--log-driver", "none", "busybox", "cat"];
    let mut child = holm.holm(words).stdin(Stdio::piped()).spawn();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    // A pattern without period in a buffer's size. Bytes are compared and not their hashes: that is cheap on an emulated host.
    let block: Vec<u8> =
        (0..(1_u32 << 18)).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut sent = block.clone();
    let sender = std::thread::spawn(move || {
        for number in 0..STREAM_MIB {
            sent[..4].copy_from_slice(&number.to_le_bytes());
            stdin.write_all(&sent).unwrap();
        }
    });
    let (mut expected, mut received) = (block.clone(), block);
    for number in 0..STREAM_MIB {
        expected[..4].copy_from_slice(&number.to_le_bytes());
        stdout.read_exact(&mut received).unwrap();
        assert!(received == expected, "MiB {number}");
    }
    assert_eq!(stdout.read(&mut received).unwrap(), 0);
    sender.join().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn m30_a_slow_reader_loses_nothing() {
    let holm = Holm::with(TestImage::Busybox);
    let mut child = holm.holm(["run", "--rm", "busybox", "seq", "200000"]).spawn();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    // The workload fills every buffer on the way meanwhile.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let count = reader.lines().count();
    assert_eq!((first.trim(), count), ("1", 199_999));
    assert!(child.wait().unwrap().success());
}

#[test]
fn without_i_standard_input_is_empty() {
    let holm = Holm::with(TestImage::Busybox);
    let out = holm.holm(["run", "--rm", "busybox", "cat"]).outcome_with_input(b"ignored");
    assert_eq!(out.ok(), "");
}

#[test]
fn end_of_input_reaches_the_workload() {
    let holm = Holm::with(TestImage::Busybox);
    let out = holm.holm(["run", "--rm", "-i", "busybox", "wc", "-l"]).outcome_with_input(b"a\nb\n");
    assert_eq!(out.ok(), "2");
}

#[test]
fn signals_reach_the_workload() {
    let holm = Holm::with(TestImage::Busybox);
    for (signal, number) in [("TERM", 15), ("INT", 2)] {
        let script = format!("trap 'echo got it; exit 3' {signal}; echo ready; while :; do sleep 0.1; done");
        let mut child = holm.holm(["run", "--rm", "busybox", "sh", "-c", &script]).spawn();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Command::new("kill").arg(format!("-{number}")).arg(child.id().to_string()).status().unwrap();
        line.clear();
        reader.read_line(&mut line).unwrap();
        assert_eq!((line.as_str(), child.wait().unwrap().code()), ("got it\n", Some(3)));
    }
}
