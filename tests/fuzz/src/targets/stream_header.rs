//! The line by which a stream between host and guest begins.

use holm_protocol::stream::{MAX_HEADER_BYTES, StreamHeader};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "stream_header",
    run,
    seeds,
    max_bytes: 256,
    code: &["protocol/src/stream.rs"],
    words: &[&["stdin", "stdout", "stderr", "files"]],
};

fn run(bytes: &[u8]) {
    let Ok(line) = str::from_utf8(bytes) else { return };
    match line.parse::<StreamHeader>() {
        Ok(header) => {
            assert!(line.len() <= MAX_HEADER_BYTES);
            let again = header.to_string();
            // A process that is called "-" is the first one.
            assert_eq!(again.trim_end_matches('\n'), line.strip_suffix('\n').unwrap_or(line));
            assert_eq!(again.parse::<StreamHeader>(), Ok(header));
        }
        Err(error) => drop(error.to_string()),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "c0ffee - stdin\n",
        "a exec-1 stdout\n",
        "a b.c_d stderr",
        "a t files\n",
        "a  stdin\n",
        "a/b - stdin\n",
        "\n",
    ]
    .map(|line| line.as_bytes().to_vec())
    .into()
}
