//! Each seed, and each input that once crashed a target, runs through. Quick, and without an engine.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use holm_fuzz::{TARGETS, find};

/// One test per target, so that a failure names it and a hang is the target's own.
macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            let all: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(replayed[..], all[..]);
        }
    };
}

targets! {
    agent_answers,
    archive_unpack,
    balloon_queue,
    block_queue,
    console,
    erofs_image,
    fs_requests,
    image_archive,
    image_config,
    image_manifest,
    layer_tar,
    log_files,
    names,
    net_queue,
    net_stream,
    oci_bundle,
    registers,
    registry_answers,
    rng_queue,
    stream_header,
    template,
    vm_config,
    vsock_queue,
}

fn replay(name: &str) {
    let target = find(name).unwrap();
    for seed in (target.seeds)() {
        (target.run)(&seed);
        // And one that ends early.
        (target.run)(&seed[..seed.len() / 2]);
    }
    let crashes = Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes").join(name);
    for input in fs::read_dir(crashes).into_iter().flatten() {
        let path = input.unwrap().path();
        println!("{}", path.display());
        (target.run)(&fs::read(path).unwrap());
    }
}
