//! One program for all targets, so that there is one to build: `HOLM_FUZZ_TARGET` names the one to run, and the arguments are
//! libFuzzer's. `tests/fuzz/run` starts it; with `HOLM_FUZZ_SEEDS` it only writes the target's seeds, and the words of its format,
//! below that directory.

#![no_main]
#![allow(unsafe_code)] // the names by which libFuzzer calls
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a program that fails by panicking"
)]

use std::path::Path;
use std::sync::LazyLock;
use std::{env, fs, process};

use holm_fuzz::{TARGETS, Target, find};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = env::var("HOLM_FUZZ_TARGET").unwrap_or_default();
    find(&name).unwrap_or_else(|| panic!("no target {name:?}"))
});

libfuzzer_sys::fuzz_target!(
    init: {
        if let Ok(directory) = env::var("HOLM_FUZZ_SEEDS") {
            let names: Vec<String> = TARGETS.iter().map(|target| format!("{}\n", target.name)).collect();
            fs::write(Path::new(&directory).join("targets"), names.concat()).unwrap();
            for target in TARGETS {
                write(target, Path::new(&directory));
            }
            process::exit(0);
        }
    },
    |bytes: &[u8]| (TARGET.run)(bytes)
);

/// `<directory>/<target>/seeds/*`, `words`, `code`, `length`.
fn write(target: &Target, directory: &Path) {
    let directory = directory.join(target.name);
    let seeds = directory.join("seeds");
    let _ = fs::remove_dir_all(&seeds);
    fs::create_dir_all(&seeds).unwrap();
    for (index, bytes) in (target.seeds)().iter().enumerate() {
        fs::write(seeds.join(format!("{index:03}")), bytes).unwrap();
    }
    let quoted = |word: &&str| format!("\"{}\"\n", word.replace('\\', "\\\\").replace('"', "\\\""));
    let words: String = target.words.concat().iter().map(quoted).collect();
    fs::write(directory.join("words"), format!("# of {}\n{words}", target.name)).unwrap();
    fs::write(directory.join("code"), target.code.join("\n")).unwrap();
    fs::write(directory.join("length"), target.max_bytes.to_string()).unwrap();
}
