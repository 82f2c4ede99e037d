//! What a layer's members become, one above the other: OCI image-spec layer.md, and Docker's way where it is silent.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::rootfs::{Tree, tree};
use super::tarball::{Member, Tarball, header, seal};

fn one(layer: Tarball) -> Tree {
    tree(&[layer.end()]).unwrap()
}

fn paths(layers: &[Tarball]) -> Vec<String> {
    let layers: Vec<_> = layers.iter().map(|layer| layer.clone().end()).collect();
    tree(&layers).unwrap().paths().into_iter().map(str::to_owned).collect()
}

fn member(path: &str, kind: u8) -> Member<'_> {
    Member { path: path.as_bytes(), kind, ..Member::default() }
}

#[test]
fn every_kind_of_file_keeps_its_metadata() {
    let long = "d/".repeat(60) + &"n".repeat(255);
    let tree = one(Tarball::new()
        .directory_mode("./", 0o1755)
        .member(&Member { mode: 0o4755, uid: 1000, data: b"#!", ..member("/setuid", b'0') })
        .member(&Member { device: (10, 229), mode: 0o666, ..member("fuse", b'3') })
        .member(&Member { device: (8, 300), ..member("disk", b'4') })
        .member(&member("pipe", b'6'))
        .symlink("./link/", "../anywhere at all")
        .symlink("far", &"x/".repeat(200))
        .hard_link("again", "setuid")
        .file(&long, b"deep")
        .member(&Member { path: b"not \xff utf-8", ..Member::default() }));
    let get = |path: &str| &tree.files[path];
    assert_eq!(get("").mode, 0o041_755);
    assert_eq!((get("/setuid").mode, get("/setuid").uid, get("/setuid").links), (0o104_755, 1000, 2));
    assert_eq!(get("/again").nid, get("/setuid").nid);
    assert_eq!((get("/fuse").mode, get("/fuse").device), (0o020_666, (10 << 8) | 229));
    assert_eq!((get("/disk").mode, get("/disk").device), (0o060_644, (300 & 0xff) | (8 << 8) | (1 << 20)));
    assert_eq!(get("/pipe").mode, 0o010_644);
    assert_eq!(get("/link").target, b"../anywhere at all");
    assert_eq!(get("/far").target.len(), 400);
    assert_eq!(tree.content(&format!("/{long}")), b"deep");
    assert_eq!(get("/d").mode, 0o040_755, "a parent that nothing describes");
    assert!(tree.files.contains_key("/not \u{fffd} utf-8"));
}

#[test]
fn pax_and_base_256_reach_beyond_the_header() {
    let capability = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let tree = one(Tarball::new()
        .pax("mtime", b"1700000000.123456789")
        .pax("uid", b"4000000000")
        .pax("gid", b"3000000000")
        .pax("SCHILY.xattr.security.capability", capability)
        .pax("SCHILY.xattr.user.text", b"with\nnewline")
        .pax("SCHILY.xattr.trusted.overlay.opaque", b"y")
        .file("a", b"")
        .pax("path", b"renamed")
        .pax("size", b"3")
        .member(&Member { size: Some(b"00000000000\0"), data: b"abc", ..member("b", b'0') })
        .pax("linkpath", b"target")
        .symlink("c", "")
        .member(&Member { mtime: b"\x80\0\0\0\0\0\0\x01\0\0\0\0", ..member("late", b'0') })
        .member(&Member { mtime: b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0", ..member("early", b'0') })
        .pax("mtime", b"-1.5")
        .file("earlier", b""));
    let a = &tree.files["/a"];
    assert_eq!((a.mtime, a.uid, a.gid), ((1_700_000_000, 123_456_789), 4_000_000_000, 3_000_000_000));
    let xattrs: Vec<_> = a.xattrs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
    assert_eq!(
        xattrs,
        [(b"security.capability".as_slice(), capability.as_slice()), (b"user.text", b"with\nnewline")]
    );
    assert_eq!(tree.content("/renamed"), b"abc");
    assert_eq!(tree.files["/c"].target, b"target");
    assert_eq!(tree.files["/late"].mtime, (1 << 32, 0));
    // Docker and containerd set times before 1970 to 1970.
    assert_eq!(tree.files["/early"].mtime, (0, 0));
    assert_eq!(tree.files["/earlier"].mtime, (0, 0));
}

#[test]
fn later_members_win() {
    let tree = one(Tarball::new()
        .file("file", b"first")
        .hard_link("kept", "file")
        .file("file", b"second")
        .directory_mode("dir", 0o700)
        .file("dir/inside", b"")
        .directory_mode("dir", 0o711)
        .directory("gone")
        .file("gone/inside", b"")
        .file("gone", b"a file")
        .file("turned", b"")
        .directory("turned"));
    assert_eq!(tree.paths(), ["/dir", "/dir/inside", "/file", "/gone", "/kept", "/turned"]);
    assert_eq!((tree.content("/file"), tree.content("/kept")), (b"second".to_vec(), b"first".to_vec()));
    assert_eq!(tree.files["/dir"].mode, 0o040_711);
    assert_eq!(tree.files["/turned"].mode, 0o040_755);
}

#[test]
fn symlinks_in_a_parents_path_stay_in_the_image() {
    let tree = one(Tarball::new()
        .directory("usr/lib")
        .symlink("lib", "usr/lib")
        .file("lib/through", b"1")
        .symlink("out", "../../../usr")
        .file("out/lib/clamped", b"2")
        .symlink("abs", "/usr/lib")
        .file("abs/absolute", b"3")
        .symlink("dangling", "made/later")
        .file("dangling/file", b"4")
        .symlink("usr/up", "..")
        .file("usr/up/top", b"5")
        .file("a/../b", b"6")
        .hard_link("linked", "lib/through"));
    for (path, content) in [
        ("/usr/lib/through", "1"),
        ("/usr/lib/clamped", "2"),
        ("/usr/lib/absolute", "3"),
        ("/made/later/file", "4"),
        ("/top", "5"),
        ("/b", "6"),
        ("/linked", "1"),
    ] {
        assert_eq!(tree.content(path), content.as_bytes(), "{path}");
    }
    assert_eq!(tree.files["/lib"].target, b"usr/lib");
}

#[test]
fn a_lower_layers_symlink_is_not_followed() {
    // Docker unpacks each layer by itself: the directory replaces the link.
    let first = Tarball::new().directory("usr/lib").symlink("lib", "usr/lib");
    let second = Tarball::new().file("lib/file", b"");
    assert_eq!(paths(&[first, second]), ["/lib", "/lib/file", "/usr", "/usr/lib"]);
}

#[test]
fn whiteouts_hide_what_is_below_and_only_that() {
    let lower = || Tarball::new().file("d/a", b"1").file("d/b", b"2").file("d/sub/c", b"3").file("e", b"4");
    let cases: [(Tarball, &[&str]); 9] = [
        (Tarball::new().file("d/.wh.a", b""), &["/d", "/d/b", "/d/sub", "/d/sub/c", "/e"]),
        (Tarball::new().file("d/.wh.sub", b""), &["/d", "/d/a", "/d/b", "/e"]),
        (Tarball::new().file(".wh.d", b""), &["/e"]),
        (Tarball::new().file("d/.wh..wh..opq", b""), &["/d", "/e"]),
        (Tarball::new().file("d/.wh..wh..opq", b"").file("d/new", b""), &["/d", "/d/new", "/e"]),
        // The order within a layer does not matter.
        (Tarball::new().file("d/new", b"").file("d/.wh..wh..opq", b""), &["/d", "/d/new", "/e"]),
        (
            Tarball::new().file("d/a", b"").file("d/.wh.a", b""),
            &["/d", "/d/a", "/d/b", "/d/sub", "/d/sub/c", "/e"],
        ),
        // A whiteout and a directory of one name: what was below is gone.
        (Tarball::new().directory("d").file(".wh.d", b""), &["/d", "/e"]),
        (
            Tarball::new().file(".wh.nothing", b"").file("x/.wh.y", b""),
            &["/d", "/d/a", "/d/b", "/d/sub", "/d/sub/c", "/e", "/x"],
        ),
    ];
    for (index, (upper, expected)) in cases.into_iter().enumerate() {
        assert_eq!(paths(&[lower(), upper]), expected, "case {index}");
    }
}

#[test]
fn hidden_files_can_come_back_in_a_third_layer() {
    let layers = [
        Tarball::new().file("d/a", b"1").end(),
        Tarball::new().file("d/.wh.a", b"").end(),
        Tarball::new().file("d/a", b"2").end(),
    ];
    assert_eq!(tree(&layers).unwrap().content("/d/a"), b"2");
}

#[test]
fn types_change_and_directories_merge() {
    let lower = Tarball::new()
        .directory_mode("dir", 0o700)
        .file("dir/kept", b"")
        .file("file", b"")
        .directory("tree")
        .file("tree/inside", b"")
        .directory_mode("plain", 0o750);
    let upper = Tarball::new()
        .directory_mode("dir", 0o711)
        .file("dir/new", b"")
        .directory("file")
        .symlink("tree", "dir")
        .file("plain/inside", b"");
    let tree = tree(&[lower.end(), upper.end()]).unwrap();
    assert_eq!(tree.paths(), ["/dir", "/dir/kept", "/dir/new", "/file", "/plain", "/plain/inside", "/tree"]);
    assert_eq!(tree.files["/dir"].mode, 0o040_711);
    assert_eq!(tree.files["/file"].mode, 0o040_755);
    assert_eq!(tree.files["/tree"].mode, 0o120_777);
    assert_eq!(tree.files["/plain"].mode, 0o040_750, "a parent in the upper layer says nothing about it");
}

#[test]
fn hard_links_across_layers() {
    let lower = Tarball::new().symlink("s", "d").file("d/a", b"lower").hard_link("b", "d/a");
    let upper = Tarball::new().hard_link("c", "s/a").file("d/a", b"upper");
    let tree = tree(&[lower.end(), upper.end()]).unwrap();
    assert_eq!(tree.content("/b"), b"lower");
    assert_eq!(tree.files["/c"].nid, tree.files["/b"].nid);
    assert_eq!((tree.files["/b"].links, tree.files["/d/a"].links), (2, 1));
    assert_eq!(tree.content("/d/a"), b"upper");
}

#[test]
fn old_archives() {
    // v7: no magic, a directory is a file whose name ends with a slash.
    let v7 = |path: &[u8], data: &[u8]| {
        let mut block = header(&Member { path, kind: 0, data, ..Member::default() });
        block[257..345].fill(0);
        seal(&mut block);
        block
    };
    // ustar: the path's first part is elsewhere.
    let mut ustar = header(&Member { path: b"name", data: b"u", ..Member::default() });
    ustar[257..265].copy_from_slice(b"ustar\x0000");
    ustar[345..351].copy_from_slice(b"prefix");
    seal(&mut ustar);
    let tar =
        Tarball::new().raw(&v7(b"dir/", b"")).raw(&v7(b"dir/file", b"old")).raw(b"old").raw(&ustar).raw(b"u");
    let tree = tree(&[tar.clone().end()]).unwrap();
    assert_eq!(tree.content("/dir/file"), b"old");
    assert_eq!(tree.content("/prefix/name"), b"u");
    // An archive need not end with zeroes, and much may follow them.
    assert!(super::rootfs::tree(&[tar.clone().cut()]).is_ok());
    assert!(super::rootfs::tree(&[[tar.end(), vec![0; 1 << 20], b"more".to_vec()].concat()]).is_ok());
}

#[test]
fn sparse_files_in_every_form() {
    const MIB: u64 = 1 << 20;
    let data = [[b'A'; 512], [b'B'; 512]].concat();
    let size = (5 * MIB + 512).to_string();
    let pax = |name: &str| {
        Tarball::new().pax("GNU.sparse.size", size.as_bytes()).pax("GNU.sparse.name", name.as_bytes())
    };
    let second = (5 * MIB).to_string();
    let mut tar = pax("form00").pax("GNU.sparse.numblocks", b"2");
    for (offset, length) in [("0", "512"), (second.as_str(), "512")] {
        tar = tar.pax("GNU.sparse.offset", offset.as_bytes()).pax("GNU.sparse.numbytes", length.as_bytes());
    }
    let form00 = tar.file("GNUSparseFile.0/form00", &data).cut();
    let form01 =
        pax("form01").pax("GNU.sparse.map", format!("0,512,{second},512").as_bytes()).file("x", &data).cut();
    let mut with_map = format!("2\n0\n512\n{second}\n512\n").into_bytes();
    with_map.resize(512, 0);
    with_map.extend(&data);
    let form10 = Tarball::new()
        .pax("GNU.sparse.major", b"1")
        .pax("GNU.sparse.minor", b"0")
        .pax("GNU.sparse.name", b"form10")
        .pax("GNU.sparse.realsize", size.as_bytes())
        .file("x", &with_map)
        .cut();
    let mut gnu = header(&Member { path: b"gnu", kind: b'S', data: &data, ..Member::default() });
    let number = |value: u64| format!("{value:011o}\0").into_bytes();
    gnu[386..410].copy_from_slice(&[number(0), number(512)].concat());
    gnu[482] = 1;
    gnu[483..495].copy_from_slice(&number(5 * MIB + 512));
    seal(&mut gnu);
    let mut extension = [0; 512];
    extension[..24].copy_from_slice(&[number(5 * MIB), number(512)].concat());
    let old = Tarball::new().raw(&gnu).raw(&extension).raw(&data).cut();

    let layer = [form00, form01, form10, old, Tarball::new().file("after", b"!").end()].concat();
    let tree = tree(&[layer]).unwrap();
    let mut expected = vec![0; usize::try_from(5 * MIB).unwrap() + 512];
    expected[..512].fill(b'A');
    let end = expected.len() - 512;
    expected[end..].fill(b'B');
    for path in ["/form00", "/form01", "/form10", "/gnu"] {
        assert!(tree.content(path) == expected, "{path}");
        assert!(tree.files[path].blocks.iter().flatten().count() <= 17, "{path} is stored with its holes");
    }
    assert_eq!(tree.content("/after"), b"!");
}

#[test]
fn an_8_gib_sparse_file_stores_little() {
    let fixture = super::Fixture::new();
    let size = ((8_u64 << 30) + 1).to_string();
    let mut data = format!("1\n{}\n1\n", 8_u64 << 30).into_bytes();
    data.resize(512, 0);
    data.push(b'!');
    let layer = Tarball::new()
        .pax("GNU.sparse.major", b"1")
        .pax("GNU.sparse.minor", b"0")
        .pax("GNU.sparse.name", b"big")
        .pax("GNU.sparse.realsize", size.as_bytes())
        .file("x", &data)
        .end();
    fixture.load(super::archive::image(&[layer], "big")).unwrap();
    let image = fixture.store.resolve("big").unwrap();
    assert_eq!(image.size_bytes(), (8 << 30) + 1);
    let disk: u64 = image.rootfs().unwrap().segments.iter().map(|segment| segment.length_bytes).sum();
    assert!(disk < 1 << 20, "{disk} bytes");
}

/// What a random layer does to a path.
#[derive(Clone, Debug)]
enum Step {
    File(u8),
    Directory,
    Remove,
    Opaque,
}

/// A model of unpacking one layer over another: paths to contents, `None` for directories.
fn apply(model: &mut BTreeMap<Vec<u8>, Option<u8>>, layer: &[(Vec<u8>, Step)]) {
    let inside = |path: &[u8], directory: &[u8]| {
        path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
    };
    for (path, step) in layer {
        match step {
            Step::Remove => model.retain(|other, _| other != path && !inside(other, path)),
            Step::Opaque => model.retain(|other, _| !inside(other, path)),
            _ => {}
        }
    }
    for (path, step) in layer {
        let content = match step {
            Step::File(content) => Some(*content),
            Step::Directory | Step::Opaque => None,
            // The parent is made all the same.
            Step::Remove => {
                if path.len() == 4 {
                    make_directory(model, &path[..2]);
                }
                continue;
            }
        };
        if path.len() == 4 {
            make_directory(model, &path[..2]);
        }
        match content {
            None => make_directory(model, path),
            Some(_) => {
                model.retain(|other, _| !inside(other, path));
                model.insert(path.clone(), content);
            }
        }
    }
}

fn make_directory(model: &mut BTreeMap<Vec<u8>, Option<u8>>, path: &[u8]) {
    model.insert(path.to_vec(), None);
}

fn layer() -> impl Strategy<Value = Vec<(Vec<u8>, Step)>> {
    let step = prop_oneof![
        4 => any::<u8>().prop_map(Step::File),
        2 => Just(Step::Directory),
        2 => Just(Step::Remove),
        1 => Just(Step::Opaque),
    ];
    // Paths of one or two parts out of three names; each at most once in a layer, no file above another path.
    prop::collection::btree_map((0..3_u8, 0..4_u8), step, 0..8).prop_map(|steps| {
        let path = |(first, second): (u8, u8)| {
            let first = vec![b'/', b'a' + first];
            if second == 3 { first } else { [first, vec![b'/', b'a' + second]].concat() }
        };
        let all: Vec<(Vec<u8>, Step)> = steps.into_iter().map(|(key, step)| (path(key), step)).collect();
        let has_inside =
            |path: &[u8]| all.iter().any(|(other, _)| other.len() > path.len() && other.starts_with(path));
        all.iter()
            .filter(|(path, step)| matches!(step, Step::Directory | Step::Opaque) || !has_inside(path))
            .cloned()
            .collect()
    })
}

fn tar_of(layer: &[(Vec<u8>, Step)]) -> Vec<u8> {
    let mut tar = Tarball::new();
    for (path, step) in layer {
        let path = String::from_utf8(path.clone()).unwrap();
        let (parent, name) = path.rsplit_once('/').unwrap();
        tar = match step {
            Step::File(content) => tar.file(&path, &[*content]),
            Step::Directory => tar.directory(&path),
            Step::Remove => tar.file(&format!("{parent}/.wh.{name}"), b""),
            Step::Opaque => tar.file(&format!("{path}/.wh..wh..opq"), b""),
        };
    }
    tar.end()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn merging_is_unpacking_one_after_the_other(layers in prop::collection::vec(layer(), 0..5)) {
        let mut model = BTreeMap::new();
        for layer in &layers {
            apply(&mut model, layer);
        }
        let tars: Vec<_> = layers.iter().map(|layer| tar_of(layer)).collect();
        let tree = tree(&tars).unwrap();
        let found: BTreeMap<Vec<u8>, Option<u8>> = tree
            .paths()
            .into_iter()
            .map(|path| (path.as_bytes().to_vec(), tree.content(path).first().copied()))
            .collect();
        prop_assert_eq!(found, model);
    }
}
