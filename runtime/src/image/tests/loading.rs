//! Archives in every form, whole and tampered.

use std::fs::{self, File};
use std::io::Write;

use serde_json::{Value, json};

use super::Fixture;
use super::archive::{Layout, Packing, config, docker, image, pack, tar_of, with};
use super::rootfs::{Tree, disk_of};
use super::tarball::Tarball;
use crate::image::{Archive, Digest, ImageError, ImageStore, ImportOptions, Progress, Reference};

fn layers() -> Vec<Vec<u8>> {
    vec![
        Tarball::new().file("etc/os-release", b"NAME=test").file("bin/sh", &[5; 9000]).end(),
        Tarball::new().file("etc/.wh.os-release", b"").file("etc/more", b"more").end(),
    ]
}

fn full_name(name: &str) -> Value {
    json!({ "io.containerd.image.name": name })
}

fn check(fixture: &Fixture, name: &str) {
    let image = fixture.store.resolve(name).unwrap();
    let tree = Tree::of(&image);
    assert_eq!(tree.paths(), ["/bin", "/bin/sh", "/etc", "/etc/more"]);
    assert_eq!(tree.content("/bin/sh"), [5; 9000]);
    assert_eq!(
        image.config().config().as_ref().unwrap().cmd().as_deref(),
        Some(["/bin/sh".to_owned()].as_slice())
    );
    assert!(String::from_utf8_lossy(image.config_json()).contains("Healthcheck"));
    assert_eq!(image.created().unwrap().unix_timestamp(), 1_767_323_045);
    assert_eq!(image.size_bytes(), 9000 + 9 + 4);
}

#[test]
fn a_docker_archive() {
    for packing in [Packing::None, Packing::Gzip, Packing::Zstd] {
        let fixture = Fixture::new();
        let packed: Vec<_> = layers().iter().map(|layer| pack(layer, packing)).collect();
        let loaded =
            fixture.load(docker(&config(&layers()), &packed, &["app:v1", "quay.io/x/app:latest"])).unwrap();
        assert_eq!(loaded.len(), 1);
        let names: Vec<_> = loaded[0].names.iter().map(Reference::familiar).collect();
        assert_eq!(names, ["app:v1", "quay.io/x/app:latest"]);
        for name in ["app:v1", "quay.io/x/app", &loaded[0].id.to_string(), &loaded[0].id.hex()[..5]] {
            check(&fixture, name);
        }
        assert!(matches!(fixture.store.resolve("app"), Err(ImageError::NotFound(_))));
    }
}

#[test]
fn a_docker_archive_whose_layers_are_links() {
    let layer = Tarball::new().file("a", b"1").end();
    let config = serde_json::to_vec(&config(&[layer.clone(), layer.clone(), layer.clone()])).unwrap();
    let manifest = json!([{ "Config": "c.json", "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"] }]);
    let archive = Tarball::new()
        .file("./c.json", &config)
        .file("1/layer.tar", &layer)
        .symlink("2/layer.tar", "../1/layer.tar")
        .hard_link("3/layer.tar", "2/layer.tar")
        .file("manifest.json", manifest.to_string().as_bytes())
        .end();
    let fixture = Fixture::new();
    let loaded = fixture.load(archive).unwrap();
    let image = fixture.store.resolve(&loaded[0].id.to_string()).unwrap();
    assert_eq!(image.layers(), [Digest::of(&layer); 3]);
    assert!(image.names().is_empty());
    assert_eq!(Tree::of(&image).content("/a"), b"1");
}

#[test]
fn an_oci_archive_from_a_stream_a_pipe_a_file_compressed_or_not() {
    for packing in [Packing::None, Packing::Gzip, Packing::Zstd] {
        let fixture = Fixture::new();
        let mut layout = Layout::default();
        let manifest = layout.image(&config(&layers()), &layers(), packing);
        let digest = manifest["digest"].as_str().unwrap().to_owned();
        let archive = pack(
            &tar_of(&layout.files(&[with(manifest, "annotations", full_name("docker.io/library/app:v1"))])),
            packing,
        );
        fixture.load(archive.clone()).unwrap();
        check(&fixture, "app:v1");
        check(&fixture, &format!("app@{digest}"));
        assert!(fixture.store.resolve(&format!("other@{digest}")).is_err());

        let path = fixture.directory.path().join("archive");
        fs::write(&path, &archive).unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        let bytes = archive.clone();
        let feeder = std::thread::spawn(move || writer.write_all(&bytes));
        for source in [
            Archive::open(path.clone()).unwrap(),
            Archive::stdin(File::open(&path).unwrap()),
            Archive::stdin(std::os::fd::OwnedFd::from(reader).into()),
        ] {
            let fresh = Fixture::new();
            fresh.store.load(source, &mut |_| {}).unwrap();
            check(&fresh, "app:v1");
        }
        feeder.join().unwrap().unwrap();
    }
}

#[test]
fn an_oci_directory() {
    let fixture = Fixture::new();
    let mut layout = Layout::default();
    let manifest = layout.image(&config(&layers()), &layers(), Packing::Gzip);
    let tagged = json!({ "org.opencontainers.image.ref.name": "localhost:5000/app:v2" });
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
    for (name, bytes) in layout.files(&[with(manifest, "annotations", tagged)]) {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    fixture.store.load(Archive::open(directory.path().to_owned()).unwrap(), &mut |_| {}).unwrap();
    check(&fixture, "localhost:5000/app:v2");
}

#[test]
fn t22_a_directory_is_not_left() {
    let fixture = Fixture::new();
    let directory = tempfile::tempdir().unwrap();
    let config = serde_json::to_vec(&config(&[])).unwrap();
    let outside = directory.path().join("config.json");
    fs::write(&outside, &config).unwrap();
    let layout = directory.path().join("layout");
    fs::create_dir(&layout).unwrap();
    std::os::unix::fs::symlink(&outside, layout.join("linked")).unwrap();
    nix::unistd::mkfifo(&layout.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for name in ["../config.json", outside.to_str().unwrap(), "linked", "fifo", "."] {
        fs::write(layout.join("manifest.json"), json!([{ "Config": name }]).to_string()).unwrap();
        let error = fixture.store.load(Archive::open(layout.clone()).unwrap(), &mut |_| {}).unwrap_err();
        assert!(matches!(error, ImageError::Io { .. }), "{name}: {error}");
    }
    fs::write(layout.join("config.json"), &config).unwrap();
    fs::write(layout.join("manifest.json"), r#"[{ "Config": "config.json" }]"#).unwrap();
    fixture.store.load(Archive::open(layout).unwrap(), &mut |_| {}).unwrap();
}

#[test]
fn a_bare_tag_is_no_name() {
    let fixture = Fixture::new();
    let mut layout = Layout::default();
    let manifest = layout.image(&config(&layers()), &layers(), Packing::Gzip);
    let tagged = json!({ "org.opencontainers.image.ref.name": "latest" });
    let loaded = fixture.load(tar_of(&layout.files(&[with(manifest, "annotations", tagged)]))).unwrap();
    assert_eq!(loaded[0].names, []);
    check(&fixture, &loaded[0].id.to_string());
}

#[test]
fn of_several_platforms_this_hosts_is_taken() {
    let mut layout = Layout::default();
    let mut arm_config = config(&[]);
    arm_config["architecture"] = "arm64".into();
    let platform = |os: &str, architecture: &str| json!({ "os": os, "architecture": architecture });
    let arm = with(layout.image(&arm_config, &[], Packing::None), "platform", platform("linux", "arm64"));
    let attestation = with(
        with(
            layout.document("application/vnd.oci.image.manifest.v1+json", &json!({})),
            "platform",
            platform("unknown", "unknown"),
        ),
        "annotations",
        json!({ "vnd.docker.reference.type": "attestation-manifest" }),
    );
    let ours = with(
        layout.image(&config(&layers()), &layers(), Packing::Zstd),
        "platform",
        platform("linux", "amd64"),
    );
    let index = layout.index(&[arm.clone(), attestation, ours]);
    let fixture = Fixture::new();
    fixture.load(tar_of(&layout.files(&[with(index, "annotations", full_name("multi"))]))).unwrap();
    check(&fixture, "multi");

    let fixture = Fixture::new();
    let others = layout.index(&[arm.clone(), with(arm.clone(), "platform", platform("windows", "amd64"))]);
    let error =
        fixture.load(tar_of(&layout.files(&[with(others, "annotations", full_name("multi"))]))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "multi:latest is for linux/arm64, windows/amd64; this host runs linux/amd64"
    );
    // Without a platform in the index, the config tells.
    let bare = with(arm, "platform", Value::Null);
    let error = fixture.load(tar_of(&layout.files(&[bare]))).unwrap_err();
    assert_eq!(error.to_string(), "the image is for linux/arm64; this host runs linux/amd64");
    let error = fixture.load(docker(&arm_config, &[], &["arm"])).unwrap_err();
    assert_eq!(error.to_string(), "arm:latest is for linux/arm64; this host runs linux/amd64");
    assert_eq!(fixture.files(), [""; 0]);
}

#[test]
fn m02_every_tampered_blob_is_named() {
    let mut layout = Layout::default();
    let manifest = layout.image(&config(&layers()), &layers(), Packing::Gzip);
    let files = layout.files(&[with(manifest, "annotations", full_name("x"))]);
    for index in 0..files.len() {
        let name = &files[index].0;
        if !name.starts_with("blobs/") {
            continue;
        }
        let mut tampered = files.clone();
        // The last byte of a gzip stream is part of a length, of JSON a bracket.
        let last = tampered[index].1.len() - 1;
        tampered[index].1[last] = b' ';
        let fixture = Fixture::new();
        let error = fixture.load(tar_of(&tampered)).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(name.as_str()), "{name}: {said}");
        assert_eq!(fixture.files(), [""; 0]);

        let mut missing = files.clone();
        missing.remove(index);
        let error = fixture.load(tar_of(&missing)).unwrap_err();
        assert!(matches!(&error, ImageError::MissingBlob(blob) if blob == name), "{error}");
        assert_eq!(fixture.files(), [""; 0]);
    }
}

#[test]
fn m02_a_layer_whose_content_is_another_is_refused() {
    // The compressed blob is right, but the config promises another content.
    let mut lying = config(&layers());
    lying["rootfs"]["diff_ids"][1] = Digest::of(b"other").to_string().into();
    let mut layout = Layout::default();
    let manifest = layout.image(&lying, &layers(), Packing::Gzip);
    let fixture = Fixture::new();
    let error = fixture.load(tar_of(&layout.files(&[manifest]))).unwrap_err();
    assert!(
        matches!(&error, ImageError::DigestMismatch { expected, .. } if *expected == Digest::of(b"other")),
        "{error}"
    );
    let error = fixture.load(docker(&lying, &layers(), &[])).unwrap_err();
    assert!(matches!(&error, ImageError::DigestMismatch { .. }), "{error}");
    lying["rootfs"]["diff_ids"] = json!([]);
    assert!(matches!(fixture.load(docker(&lying, &layers(), &[])), Err(ImageError::Inconsistent { .. })));
    assert_eq!(fixture.files(), [""; 0]);
}

#[test]
fn what_is_no_image_archive_is_refused() {
    let fixture = Fixture::new();
    let refuse = |archive: Vec<u8>| {
        let error = fixture.load(archive).unwrap_err();
        assert_eq!(fixture.files(), [""; 0], "{error}");
        error
    };
    assert!(matches!(refuse(Tarball::new().file("a", b"").end()), ImageError::NotAnArchive(_)));
    assert!(matches!(refuse(Vec::new()), ImageError::NotAnArchive(_)));
    assert!(matches!(refuse(b"some text".to_vec()), ImageError::Archive { .. }));
    let whole = image(&layers(), "x");
    for length in (100..whole.len() - 1024).step_by(997) {
        refuse(whole[..length].to_vec());
    }
    for manifest in
        ["", "{}", "[]", "[{}]", r#"[{"Config":"../../etc/passwd"}]"#, r#"[{"Config":"/etc/passwd"}]"#]
    {
        refuse(Tarball::new().file("manifest.json", manifest.as_bytes()).end());
    }
    for config in [
        "",
        "[]",
        "{}",
        r#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["x"]}}"#,
    ] {
        let manifest = r#"[{"Config":"c"}]"#;
        refuse(Tarball::new().file("c", config.as_bytes()).file("manifest.json", manifest.as_bytes()).end());
    }
    let large = format!("[{}]", " ".repeat(9 << 20));
    let error = refuse(Tarball::new().file("manifest.json", large.as_bytes()).end());
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
    refuse(docker(&config(&layers()), &layers(), &["Not A Name"]));
    refuse(docker(&config(&layers()), &layers(), &[&format!("x@sha256:{}", "0".repeat(64))]));
    let chart = json!({ "schemaVersion": 2, "layers": [], "config": {
        "mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": Digest::of(b"{}").to_string(), "size": 2 } });
    let mut layout = Layout::default();
    let manifest = layout.document("application/vnd.oci.image.manifest.v1+json", &chart);
    assert!(refuse(tar_of(&layout.files(&[manifest]))).to_string().contains("no container image"));
    // 10,000 layers (T18).
    let many = vec![Vec::new(); 10_000];
    assert!(matches!(refuse(docker(&config(&many), &many, &[])), ImageError::Inconsistent { .. }));
}

#[test]
fn indexes_that_contain_each_other_end() {
    let fixture = Fixture::new();
    let mut layout = Layout::default();
    let mut index = layout.index(&[]);
    for _ in 0..12 {
        index = layout.index(&[index.clone(), index]);
    }
    let error = fixture.load(tar_of(&layout.files(&[index]))).unwrap_err();
    assert!(matches!(error, ImageError::Inconsistent { .. }), "{error}");
}

#[test]
fn m04_layers_are_stored_once() {
    let fixture = Fixture::new();
    let base = layers();
    let child = [base.clone(), vec![Tarball::new().file("app", b"app").end()]].concat();
    fixture.load(image(&base, "base")).unwrap();
    let mut events = Vec::new();
    let archive = Archive::Stream(Box::new(std::io::Cursor::new(image(&child, "child"))));
    fixture.store.load(archive, &mut |event| events.push(event)).unwrap();
    let exists = events.iter().filter(|event| matches!(event, Progress::LayerExists { .. })).count();
    assert_eq!(exists, 2);
    assert!(events.iter().any(|event| matches!(event, Progress::Layer { index: 2, count: 3, .. })));
    assert_eq!(fixture.files().iter().filter(|file| file.ends_with("/data")).count(), 3);
    let segments = |name: &str| fixture.store.resolve(name).unwrap().rootfs().unwrap().segments;
    assert_eq!(segments("base")[1..], segments("child")[1..3]);
}

#[test]
fn m05_a_name_moves_and_the_old_image_stays() {
    let fixture = Fixture::new();
    let old = fixture.load(image(&layers(), "app")).unwrap()[0].id;
    let before = disk_of(&fixture.store.resolve("app").unwrap());
    let new = fixture.load(image(&layers()[..1], "app")).unwrap()[0].id;
    assert_ne!(old, new);
    assert_eq!(fixture.store.resolve("app").unwrap().id(), new);
    let image = fixture.store.resolve(&old.to_string()).unwrap();
    assert!(image.names().is_empty() && disk_of(&image) == before);
    assert_eq!(fixture.store.list().unwrap().len(), 2);
    fixture.store.tag(&old.short(), &"kept:v1".parse().unwrap()).unwrap();
    assert_eq!(fixture.store.resolve("kept:v1").unwrap().id(), old);
}

#[test]
fn the_same_archive_gives_the_same_bytes() {
    let archive = image(&layers(), "x");
    let (one, two) = (Fixture::new(), Fixture::new());
    one.load(archive.clone()).unwrap();
    two.load(archive).unwrap();
    assert_eq!(one.files(), two.files());
    for file in one.files() {
        assert!(
            fs::read(one.directory.path().join(&file)).unwrap()
                == fs::read(two.directory.path().join(&file)).unwrap()
        );
    }
}

#[test]
fn many_loads_at_once() {
    let fixture = Fixture::new();
    let archive = image(&layers(), "x");
    std::thread::scope(|scope| {
        for index in 0..8 {
            let (store, archive) = (fixture.store.clone(), archive.clone());
            scope.spawn(move || {
                let root = fixture_root(&store);
                assert!(root);
                store.load(Archive::Stream(Box::new(std::io::Cursor::new(archive))), &mut |_| {}).unwrap();
                if index % 2 == 0 {
                    let _ = store.remove("x", true, &|_| Vec::new());
                }
            });
        }
    });
    fixture.load(archive).unwrap();
    check(&fixture, "x");
    assert!(!fixture.files().iter().any(|file| file.contains("staging")));
}

fn fixture_root(store: &ImageStore) -> bool {
    store.list().is_ok()
}

#[test]
fn a_crash_is_cleared_by_the_next_open() {
    let fixture = Fixture::new();
    fixture.load(image(&layers(), "x")).unwrap();
    let base = fixture.directory.path().join("image");
    let orphan = base.join("layers").join("0".repeat(64));
    fs::create_dir(&orphan).unwrap();
    fs::write(orphan.join("data"), b"half").unwrap();
    let dead = base.join("staging/op-dead");
    fs::create_dir_all(dead.join("layers/x")).unwrap();
    fs::write(dead.join("lock"), b"").unwrap();
    let alive = base.join("staging/op-alive");
    fs::create_dir_all(&alive).unwrap();
    let lock = File::create(alive.join("lock")).unwrap();
    lock.lock().unwrap();
    let store = ImageStore::open(fixture.directory.path()).unwrap();
    assert!(!dead.exists() && !orphan.exists() && alive.exists());
    assert_eq!(store.list().unwrap().len(), 1);
    drop(lock);
    ImageStore::open(fixture.directory.path()).unwrap();
    assert!(!alive.exists());
    check(&fixture, "x");
}

#[test]
fn a_damaged_catalog_is_reported_not_replaced() {
    let fixture = Fixture::new();
    fixture.load(image(&layers(), "x")).unwrap();
    let path = fixture.directory.path().join("image/repositories.json");
    fs::write(&path, b"{").unwrap();
    assert!(matches!(fixture.store.list(), Err(ImageError::Damaged { .. })));
    assert!(fixture.load(image(&layers(), "x")).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"{");
}

#[test]
fn a_root_file_system_is_imported() {
    let fixture = Fixture::new();
    let tar = Tarball::new().file("bin/sh", b"sh").end();
    let options = ImportOptions {
        name: Some("mine:v1".parse().unwrap()),
        message: Some("made by hand".to_owned()),
        changes: vec![
            r#"CMD ["sh"]"#.parse().unwrap(),
            "ENV A=b".parse().unwrap(),
            "EXPOSE 80".parse().unwrap(),
        ],
    };
    for packing in [Packing::None, Packing::Gzip, Packing::Zstd] {
        let source = Archive::Stream(Box::new(std::io::Cursor::new(pack(&tar, packing))));
        let loaded = fixture.store.import(source, &options, &mut |_| {}).unwrap();
        let image = fixture.store.resolve("mine:v1").unwrap();
        assert_eq!(image.id(), loaded.id);
        assert_eq!(image.layers(), [Digest::of(&tar)]);
        assert_eq!(Tree::of(&image).content("/bin/sh"), b"sh");
        let config = image.config().config().as_ref().unwrap();
        assert_eq!(config.cmd().as_deref(), Some(["sh".to_owned()].as_slice()));
        assert_eq!(config.env().as_deref(), Some(["A=b".to_owned()].as_slice()));
        assert_eq!(config.exposed_ports().as_deref(), Some(["80/tcp".to_owned()].as_slice()));
        let history = image.config().history().as_ref().unwrap();
        assert_eq!(history[0].comment().as_deref(), Some("made by hand"));
    }
    assert_eq!(fixture.files().iter().filter(|file| file.ends_with("/data")).count(), 1);
    let broken = Archive::Stream(Box::new(std::io::Cursor::new(b"no tar at all".to_vec())));
    let error = fixture.store.import(broken, &ImportOptions::default(), &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "cannot read an image from the stream");
}
