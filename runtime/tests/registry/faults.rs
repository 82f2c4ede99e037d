//! Connections that are cut, servers that lie.

use holm_runtime::image::{Digest, ImageError, Progress, Reference};
use holm_runtime::registry::RegistryConfig;
use serde_json::json;

use super::{Host, chain};
use holm_test_registry::{Fault, FaultyRegistry, INDEX, MANIFEST, RegistryImage, blob_path, descriptor, tar};

#[test]
fn a_cut_download_goes_on_where_it_was_cut() {
    let (host, image) = (Host::new(), RegistryImage::new(2, 400_000));
    let registry = FaultyRegistry::with(&image);
    let path = blob_path(&image.layers[0]);
    registry.fail(&path, &[Fault::Cut(100_000), Fault::Cut(50_000), Fault::Status(503), Fault::Cut(7)]);
    let pulled = host.pull(&registry.name()).unwrap();
    assert_eq!(pulled.id, image.id());
    assert!(host.store.resolve(&registry.name()).unwrap().rootfs().is_ok());
    let requests: Vec<_> = registry.requests().into_iter().filter(|line| line.contains(&path)).collect();
    let ranges: Vec<_> = requests.iter().filter_map(|line| line.split(" | ").nth(1)).collect();
    assert_eq!(ranges, ["bytes=100000-", "bytes=150000-", "bytes=150000-", "bytes=150007-"]);
}

#[test]
fn a_cut_download_from_a_server_without_ranges_starts_again() {
    let (host, image) = (Host::new(), RegistryImage::new(1, 400_000));
    let registry = FaultyRegistry::with(&image);
    registry.without_ranges();
    let faults = [Fault::Cut(100_000), Fault::CutWithoutRange(60_000), Fault::Cut(200_000)];
    registry.fail(&blob_path(&image.layers[0]), &faults);
    assert_eq!(host.pull(&registry.name()).unwrap().id, image.id());
}

#[test]
fn a_server_that_never_gets_better_leaves_nothing() {
    let (host, image) = (Host::new(), RegistryImage::new(3, 200_000));
    let registry = FaultyRegistry::with(&image);
    registry.fail(&blob_path(&image.layers[1]), &[Fault::Cut(0); 100]);
    let error = host.pull(&registry.name()).unwrap_err();
    assert!(chain(&error).starts_with("the connection to registry 127.0.0.1:"), "{}", chain(&error));
    assert_eq!(host.files(), [] as [String; 0]);
    // And what failed once works later.
    registry.fail(&blob_path(&image.layers[1]), &[]);
    host.pull(&registry.name()).unwrap();
}

#[test]
fn m02_wrong_bytes_are_refused_by_the_name_of_their_blob() {
    let image = RegistryImage::new(2, 100_000);
    let manifest_path = format!("/v2/x/y/manifests/{}", Digest::of(&image.manifest));
    let pinned = |registry: &FaultyRegistry| format!("{}/x/y@{}", registry.host, Digest::of(&image.manifest));
    for (path, blob) in [
        (blob_path(&image.layers[1]), &image.layers[1]),
        (blob_path(&image.config), &image.config),
        (manifest_path, &image.manifest),
    ] {
        let host = Host::new();
        let registry = FaultyRegistry::with(&image);
        for position in [0, blob.len() / 2, blob.len() - 1] {
            let mut wrong = blob.clone();
            wrong[position] ^= 1;
            registry.put(&path, MANIFEST, &wrong);
            match host.pull(&pinned(&registry)).unwrap_err() {
                ImageError::DigestMismatch { expected, actual, .. } => {
                    assert_eq!((expected, actual), (Digest::of(blob), Digest::of(&wrong)));
                }
                other => panic!("{path} at {position}: {}", chain(&other)),
            }
            assert_eq!(host.files(), [] as [String; 0]);
        }
        // Another length than the manifest says.
        let longer = [blob.as_slice(), b"x"].concat();
        registry.put(&path, MANIFEST, &longer);
        let error = chain(&host.pull(&pinned(&registry)).unwrap_err());
        assert!(error.contains(&Digest::of(blob).to_string()), "{error}");
        assert_eq!(host.files(), [] as [String; 0]);
    }
}

#[test]
fn endless_documents_are_refused() {
    let (host, registry) = (Host::new(), FaultyRegistry::new());
    registry.put("/v2/x/y/manifests/tag", MANIFEST, &vec![b' '; 5 << 20]);
    let error = chain(&host.pull(&registry.name()).unwrap_err());
    assert!(error.contains("more than 4194304 bytes"), "{error}");
}

#[test]
fn of_an_index_this_hosts_image_is_taken() {
    let (host, registry) = (Host::new(), FaultyRegistry::new());
    let (ours, arm) = (RegistryImage::new(1, 1000), RegistryImage::of("arm64", Vec::new()));
    let mut entries = Vec::new();
    for (image, architecture) in [(&arm, "arm64"), (&ours, "amd64")] {
        registry.add(image);
        let mut entry = descriptor(MANIFEST, &image.manifest);
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
        entries.push(entry);
    }
    let index = |entries: &[serde_json::Value]| {
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string().into_bytes()
    };
    let both = index(&entries);
    registry.put("/v2/x/y/manifests/tag", INDEX, &both);
    let pulled = host.pull(&registry.name()).unwrap();
    assert_eq!((pulled.id, pulled.digest), (ours.id(), Digest::of(&both)));
    // By the index's digest it is found from now on, and by the manifest's.
    for digest in [Digest::of(&both), Digest::of(&ours.manifest)] {
        let name = format!("{}/x/y@{digest}", registry.host);
        assert_eq!(host.store.resolve(&name).unwrap().id(), ours.id());
    }
    registry.put("/v2/x/y/manifests/tag", INDEX, &index(&entries[..1]));
    let error = chain(&host.pull(&registry.name()).unwrap_err());
    assert!(error.contains("is for linux/arm64; this host runs linux/amd64"), "{error}");
}

#[test]
fn m04_layers_of_the_store_are_not_fetched() {
    let (host, registry) = (Host::new(), FaultyRegistry::new());
    let tars = |count| (1..=count).map(|seed| tar(seed, 1000)).collect();
    let base = RegistryImage::of("amd64", tars(1));
    let derived = RegistryImage::of("amd64", [tars(1), vec![tar(9, 1000)]].concat());
    registry.add(&base);
    registry.add(&derived);
    registry.put("/v2/x/y/manifests/base", MANIFEST, &base.manifest);
    registry.put("/v2/x/y/manifests/derived", MANIFEST, &derived.manifest);
    // Tars of another moment would be other layers.
    assert!(base.layers[0] == derived.layers[0], "the same layer");
    host.pull(&format!("{}/x/y:base", registry.host)).unwrap();
    let mut events = Vec::new();
    let name: Reference = format!("{}/x/y:derived", registry.host).parse().unwrap();
    host.store.pull(&host.registries, &name, &mut |event| events.push(event)).unwrap();
    let digest = Some(Digest::of(&base.layers[0]));
    assert!(
        events.iter().any(|event| matches!(event, Progress::LayerExists { digest: d, .. } if *d == digest))
    );
    let fetched =
        registry.requests().iter().filter(|line| line.contains(&blob_path(&base.layers[0]))).count();
    assert_eq!(fetched, 1);
}

#[test]
fn mirrors_are_asked_first_and_the_registry_when_they_do_not_help() {
    let image = RegistryImage::new(1, 1000);
    let (empty, mirror, upstream) =
        (FaultyRegistry::new(), FaultyRegistry::with(&image), FaultyRegistry::with(&image));
    let config = |mirrors: &[&str]| {
        let mut config = RegistryConfig::default();
        let settings = config.registry.entry(upstream.host.clone()).or_default();
        settings.insecure = true;
        settings.mirrors = mirrors.iter().map(|&mirror| mirror.to_owned()).collect();
        config
    };
    let dead = "127.0.0.1:1";
    let host = Host::configured(config(&[dead, &empty.host, &format!("http://{}", mirror.host)]));
    host.pull(&upstream.name()).unwrap();
    assert_eq!(upstream.requests(), [] as [String; 0]);
    assert!(host.store.resolve(&upstream.name()).is_ok(), "it has the registry's name, not the mirror's");
    let host = Host::configured(config(&[dead, &empty.host]));
    host.pull(&upstream.name()).unwrap();
    assert!(!upstream.requests().is_empty());
}

#[test]
fn m05_a_tag_that_moves_leaves_the_old_digest() {
    let (host, first, second) = (Host::new(), RegistryImage::new(1, 1000), RegistryImage::new(2, 2000));
    let registry = FaultyRegistry::with(&first);
    let old = host.pull(&registry.name()).unwrap();
    assert!(old.is_new && !host.pull(&registry.name()).unwrap().is_new);
    registry.add(&second);
    registry.put("/v2/x/y/manifests/tag", MANIFEST, &second.manifest);
    let new = host.pull(&registry.name()).unwrap();
    assert!(new.is_new);
    assert_eq!(host.store.resolve(&registry.name()).unwrap().id(), second.id());
    let pinned = format!("{}/x/y@{}", registry.host, old.digest);
    assert_eq!(host.store.resolve(&pinned).unwrap().id(), first.id());
}
