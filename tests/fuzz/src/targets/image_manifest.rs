//! Manifests and indices, which may lead to each other: documents, each behind its length, of which the first is what a registry
//! or an archive gives for a name.

use holm_runtime::image::Reference;
use holm_runtime::image::fuzzing::is_planned;

use crate::Target;
use crate::images;
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "image_manifest",
    run,
    seeds,
    max_bytes: 8192,
    code: &[
        "runtime/src/image/load/oci.rs",
        "runtime/src/image/load/plan.rs",
        "runtime/src/image/reference.rs",
    ],
    words: &[images::DOCUMENT_WORDS],
};

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    // Names come from the same places.
    if let Ok(name) = String::from_utf8_lossy(input.counted()).parse::<Reference>() {
        let again: Reference = name.to_string().parse().unwrap();
        assert_eq!(again, name, "a name is read as another one");
        assert_eq!(name.familiar().parse::<Reference>().unwrap(), name);
    }
    let mut documents = Vec::new();
    while !input.is_empty() {
        documents.push(input.counted());
    }
    let _ = is_planned(&documents);
}

fn seeds() -> Vec<Vec<u8>> {
    let [manifest, index, config] = images::documents().try_into().unwrap();
    let named = |name: &str| Output::default().counted(name.as_bytes());
    let digest = format!("localhost:5000/a/b:c@sha256:{}", "0".repeat(64));
    // An index of an index of ... of nothing.
    let mut documents = vec![b"{\"schemaVersion\":2,\"manifests\":[]}".to_vec()];
    for _ in 0..5 {
        let last = documents.last().unwrap();
        let digest = holm_runtime::image::Digest::of(last);
        let entry = format!(
            "{{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"size\":1,\"digest\":\"{digest}\"}}"
        );
        documents.push(format!("{{\"schemaVersion\":2,\"manifests\":[{entry},{entry}]}}").into_bytes());
    }
    let nested = documents.iter().rev().fold(named("x"), |output, document| output.counted(document));
    vec![
        named("busybox").counted(&manifest).counted(&config).0,
        named("docker.io/library/busybox:latest").counted(&index).counted(&manifest).counted(&config).0,
        named(&digest).counted(&manifest).0,
        named("UPPER/case").counted(&index).0,
        named("a/b:c/d").counted(&config).0,
        nested.0,
    ]
}
