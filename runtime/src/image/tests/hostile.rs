//! Layers and archives made to break things. Each is refused with a message, or tamed; nothing ever touches the host,
//! and a refused archive leaves nothing behind.

use std::io::{Read, Write};

use serde_json::json;

use super::Fixture;
use super::archive::{Packing, config, docker, image, pack};
use super::rootfs::tree;
use super::tarball::{Member, Tarball, header, seal};
use crate::image::{Archive, ImageError, LayerError, LayerLimits};

fn refusal(layer: Vec<u8>) -> LayerError {
    refusal_of(&Fixture::new(), image(&[layer], "x"))
}

fn refusal_of(fixture: &Fixture, archive: Vec<u8>) -> LayerError {
    match fixture.load(archive) {
        Err(ImageError::Layer { source, .. }) => {
            assert_eq!(fixture.files(), [""; 0], "something is left");
            source
        }
        other => panic!("not refused as a layer: {other:?}"),
    }
}

fn limited(limits: LayerLimits) -> Fixture {
    let fixture = Fixture::new();
    Fixture { store: fixture.store.clone().with_limits(limits), ..fixture }
}

#[test]
fn t17_paths_that_lead_out() {
    for path in ["..", "../etc/passwd", "a/../../etc/passwd", "./../x"] {
        assert!(matches!(refusal(Tarball::new().file(path, b"").end()), LayerError::Escapes(_)), "{path}");
        let link = Tarball::new().hard_link("link", path).end();
        assert!(matches!(refusal(link), LayerError::Escapes(_)), "hard link to {path}");
    }
    for path in ["/../../etc/passwd", "/etc/passwd", "//etc//passwd", "./etc/./passwd"] {
        let tree = tree(&[Tarball::new().file(path, b"inside").end()]).unwrap();
        assert_eq!(tree.content("/etc/passwd"), b"inside", "{path}");
    }
}

#[test]
fn t17_symlinks_never_reach_the_host() {
    let host = tempfile::tempdir().unwrap();
    let canary = host.path().join("canary");
    std::fs::write(&canary, "untouched").unwrap();
    let target = host.path().to_str().unwrap();
    let layer = Tarball::new()
        .symlink("absolute", target)
        .file("absolute/canary", b"written")
        .symlink("relative", &format!("{}{target}", "../".repeat(30)))
        .file("relative/canary2", b"written")
        .file("absolute/.wh.canary", b"")
        .file("absolute/.wh..wh..opq", b"")
        .directory_mode("absolute", 0o777)
        .end();
    let tree = tree(&[layer]).unwrap();
    // The last directory replaced the link; what went through it is in the image, under the same path.
    assert_eq!(tree.content(&format!("{target}/canary")), b"written");
    assert_eq!(tree.content(&format!("{target}/canary2")), b"written");
    assert_eq!(std::fs::read_to_string(&canary).unwrap(), "untouched");
    assert_eq!(std::fs::read_dir(host.path()).unwrap().count(), 1);
}

#[test]
fn t17_paths_through_files_loops_and_odd_names() {
    let through = Tarball::new().file("file", b"").file("file/x", b"").end();
    assert!(matches!(refusal(through), LayerError::NotADirectory(_)));
    let circle = Tarball::new().symlink("a", "b").symlink("b", "a").file("a/x", b"").end();
    assert!(matches!(refusal(circle), LayerError::SymlinkLoop(_)));
    let itself = Tarball::new().symlink("a", "a/a").file("a/x", b"").end();
    assert!(matches!(refusal(itself), LayerError::SymlinkLoop(_)));
    for path in ["", &"x".repeat(256), &format!("d/{}", "y".repeat(300)), &"z/".repeat(2049)] {
        assert!(matches!(refusal(Tarball::new().file(path, b"").end()), LayerError::Path(_)), "{path:.9}");
    }
    assert!(matches!(refusal(Tarball::new().file("/", b"").end()), LayerError::Path(_)));
    assert!(matches!(refusal(Tarball::new().pax("path", b"a\0b").file("x", b"").end()), LayerError::Tar(..)));
}

#[test]
fn t17_hard_links_to_nowhere_and_to_directories() {
    let nowhere = image(&[Tarball::new().hard_link("a", "/etc/shadow").end()], "x");
    let fixture = Fixture::new();
    assert!(matches!(fixture.load(nowhere), Err(ImageError::Merge { .. })));
    assert_eq!(fixture.files(), [""; 0]);
    let directory = Tarball::new().directory("d").hard_link("a", "d").end();
    assert!(matches!(refusal(directory), LayerError::HardLink { .. }));
    let below = image(&[Tarball::new().directory("d").end(), Tarball::new().hard_link("a", "d").end()], "x");
    assert!(matches!(fixture.load(below), Err(ImageError::Merge { .. })));
    let root = Tarball::new().file("f", b"").hard_link("/", "f").end();
    assert!(matches!(refusal(root), LayerError::Path(_)));
}

#[test]
fn t17_whiteouts_of_nothing_and_of_parents() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh..", "d/.wh..."] {
        assert!(matches!(refusal(Tarball::new().file(name, b"").end()), LayerError::Whiteout(_)), "{name}");
    }
}

#[test]
fn t18_bombs_stop_at_the_limits() {
    let default = LayerLimits { reserve_bytes: 0, ..LayerLimits::default() };
    let zeroes = Tarball::new().file("zeroes", &vec![0; 20 << 20]).end();
    let mut compressed = json!(null);
    for packing in [Packing::Gzip, Packing::Zstd] {
        let layer = pack(&zeroes, packing);
        assert!(layer.len() < 1 << 20);
        compressed = config(std::slice::from_ref(&zeroes));
        let fixture = limited(LayerLimits { tar_bytes: 10 << 20, ..default });
        let refused = refusal_of(&fixture, docker(&compressed, &[layer], &[]));
        assert!(matches!(refused, LayerError::Limit { limit: 10_485_760, .. }), "{refused}");
    }
    assert!(compressed.is_object());

    let many = (0..200).fold(Tarball::new(), |tar, index| tar.file(&format!("{index}"), b"")).end();
    let fixture = limited(LayerLimits { entries: 100, ..default });
    assert!(matches!(refusal_of(&fixture, image(&[many], "x")), LayerError::Limit { what: "files", .. }));

    let deep =
        (0..20).fold(Tarball::new(), |tar, index| tar.file(&format!("{index}/{}x", "d/".repeat(20)), b""));
    let archive = image(&[deep.end()], "x");
    assert!(matches!(refusal_of(&fixture, archive.clone()), LayerError::Limit { what: "files", .. }));
    let fixture = limited(LayerLimits { path_steps: 100, ..default });
    assert!(matches!(refusal_of(&fixture, archive.clone()), LayerError::Limit { .. }));
    let fixture = limited(LayerLimits { tree_bytes: 500, ..default });
    assert!(matches!(refusal_of(&fixture, archive), LayerError::Limit { .. }));

    let value = vec![b'v'; 60_000];
    let xattrs =
        (0..5).fold(Tarball::new(), |tar, index| tar.pax(&format!("SCHILY.xattr.user.{index}"), &value));
    assert!(matches!(refusal(xattrs.file("x", b"").end()), LayerError::Limit { .. }));
}

#[test]
fn t18_headers_that_claim_too_much() {
    let claims = |kind: u8, size: &[u8; 12]| {
        Tarball::new().member(&Member { path: b"x", kind, size: Some(size), ..Member::default() }).end()
    };
    for kind in [b'x', b'L', b'K', b'g'] {
        let said = refusal(claims(kind, b"77777777777\0")).to_string();
        assert!(said.contains("extension header"), "{said}");
    }
    for size in [
        b"77777777777\0",
        b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
    ] {
        assert!(matches!(refusal(claims(b'0', size)), LayerError::Tar(..) | LayerError::Metadata { .. }));
    }
    let sparse = |map: &str, real: &str| {
        Tarball::new()
            .pax("GNU.sparse.size", real.as_bytes())
            .pax("GNU.sparse.map", map.as_bytes())
            .file("sparse", b"12345678")
            .end()
    };
    assert!(matches!(
        refusal(sparse("0,8", "9223372036854775807")),
        LayerError::Metadata { field: "size", .. }
    ));
    for map in ["0,9", "8,8", "0,4,2,4", "4,4,0,4", "18446744073709551615,8", "0,8,", "0", ""] {
        assert!(matches!(refusal(sparse(map, "10")), LayerError::Tar(..)), "{map:?}");
    }
}

#[test]
fn t18_a_sparse_file_that_would_need_a_huge_index() {
    // 7 TiB and one block of data each: some 470 MiB of chunk addresses.
    let fixture = Fixture::new();
    let files = (0..3).fold(Tarball::new(), |tar, index| {
        tar.pax("GNU.sparse.size", (7_u64 << 40).to_string().as_bytes())
            .pax("GNU.sparse.map", b"65536,8")
            .file(&format!("sparse{index}"), b"12345678")
    });
    let error = fixture.load(image(&[files.end()], "x")).unwrap_err();
    assert!(matches!(error, ImageError::Merge { .. }), "{error}");
    assert_eq!(fixture.files(), [""; 0]);
}

#[test]
fn t19_an_image_without_layers_has_an_empty_root() {
    assert_eq!(tree(&[]).unwrap().paths(), [""; 0]);
}

#[test]
fn t20_a_layer_is_read_as_a_tar_whatever_it_looks_like() {
    for disguise in [
        b"QFI\xfb".to_vec(),
        [vec![0; 1024], b"\xe2\xe1\xf5\xe0".to_vec()].concat(),
        [vec![0; 1080], b"\x53\xef".to_vec()].concat(),
        b"BZh9".to_vec(),
        b"\xfd7zXZ\0".to_vec(),
        b"#!/bin/sh\ntouch /tmp/owned\n".to_vec(),
    ] {
        let mut layer = disguise;
        let is_empty = layer.starts_with(&[0; 512]);
        layer.resize(4096, 0);
        let loaded = tree(std::slice::from_ref(&layer));
        // Zeroes are an empty tar, and what follows them is nothing.
        assert_eq!(loaded.is_ok(), is_empty);
    }
}

#[test]
fn t21_ids_devices_and_types_out_of_range() {
    let with = |key: &str, value: &str| Tarball::new().pax(key, value.as_bytes()).file("x", b"").end();
    for (key, value) in [("uid", "4294967295"), ("uid", "4294967296"), ("gid", "18446744073709551615")] {
        assert!(matches!(refusal(with(key, value)), LayerError::Metadata { .. }), "{key} {value}");
    }
    assert!(matches!(refusal(with("uid", "-1")), LayerError::Tar(..)));
    for device in [(4096, 0), (0, 1_048_576)] {
        let layer = Tarball::new().member(&Member { path: b"x", kind: b'3', device, ..Member::default() });
        assert!(matches!(refusal(layer.end()), LayerError::Metadata { field: "device number", .. }));
    }
    let odd = Tarball::new().member(&Member { path: b"x", kind: b'Z', ..Member::default() });
    assert!(refusal(odd.end()).to_string().contains("unknown entry type 'Z'"));
    assert!(matches!(refusal(Tarball::new().symlink("x", "").end()), LayerError::Metadata { .. }));
    let acl = Tarball::new().pax("SCHILY.xattr.system.posix_acl_access", b"x").file("x", b"");
    assert!(matches!(refusal(acl.end()), LayerError::Metadata { .. }));
}

#[test]
fn damaged_tars_are_refused_wherever_they_break() {
    let layer =
        Tarball::new().pax("path", b"long").file("a", &[7; 3000]).symlink("b", &"x".repeat(150)).end();
    for length in (1..layer.len() - 1024).filter(|length| length % 512 != 0).step_by(100) {
        let cut = layer[..length].to_vec();
        assert!(matches!(refusal(cut), LayerError::Tar(..)), "{length} bytes");
    }
    let mut broken = header(&Member { path: b"x", ..Member::default() });
    broken[0] = b'y';
    assert!(refusal(Tarball::new().raw(&broken).end()).to_string().contains("no tar header at byte 0"));
    let mut letters = header(&Member { path: b"x", ..Member::default() });
    letters[100..107].copy_from_slice(b"letters");
    seal(&mut letters);
    assert!(refusal(Tarball::new().raw(&letters).end()).to_string().contains("bad mode"));
}

#[test]
fn damaged_compression_is_refused() {
    let tar = Tarball::new().file("a", &[b"noise".repeat(10_000), vec![1; 100_000]].concat()).end();
    for packing in [Packing::Gzip, Packing::Zstd] {
        let whole = pack(&tar, packing);
        let config = config(std::slice::from_ref(&tar));
        for cut in [5, whole.len() / 2, whole.len() - 1] {
            let archive = docker(&config, &[whole[..cut].to_vec()], &[]);
            let refused = refusal_of(&Fixture::new(), archive);
            assert!(matches!(refused, LayerError::Tar(..)), "{packing:?} cut at {cut}: {refused}");
        }
        let mut garbled = whole.clone();
        let middle = garbled.len() / 2;
        garbled[middle] ^= 0xff;
        assert!(Fixture::new().load(docker(&config, &[garbled], &[])).is_err());
    }
    let mut window = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8];
    window.extend([1, 0, 0]);
    assert!(matches!(
        refusal_of(&Fixture::new(), docker(&config(&[tar]), &[window], &[])),
        LayerError::Tar(..)
    ));
}

#[test]
fn a_full_disk_leaves_nothing() {
    let fixture = limited(LayerLimits { reserve_bytes: u64::MAX, ..LayerLimits::default() });
    let layer = Tarball::new().file("a", &vec![1; 2 << 20]).end();
    let error = fixture.load(image(&[layer], "x")).unwrap_err();
    let ImageError::Archive { source: LayerError::NoSpace, .. } = error else { panic!("{error:?}") };
    assert_eq!(fixture.files(), [""; 0]);
}

/// A stream that fails after some bytes.
struct Failing(std::io::Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(std::io::Error::other("the cable was pulled")),
            count => Ok(count),
        }
    }
}

#[test]
fn a_failing_stream_leaves_nothing() {
    let fixture = Fixture::new();
    let archive = image(&[Tarball::new().file("a", b"1").end()], "x");
    let half = archive[..archive.len() / 2].to_vec();
    let stream = Box::new(Failing(std::io::Cursor::new(half)));
    let error = fixture.store.load(Archive::Stream(stream), &mut |_| {}).unwrap_err();
    assert!(matches!(&error, ImageError::Archive { .. }), "{error}");
    assert_eq!(fixture.files(), [""; 0]);
}

#[test]
fn a_whole_archive_that_is_a_bomb() {
    let fixture = limited(LayerLimits { tar_bytes: 1 << 20, reserve_bytes: 0, ..LayerLimits::default() });
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&vec![0; 10 << 20]).unwrap();
    let error = fixture.load(encoder.finish().unwrap()).unwrap_err();
    assert!(matches!(error, ImageError::Archive { source: LayerError::Limit { .. }, .. }), "{error}");
    assert_eq!(fixture.files(), [""; 0]);
}
