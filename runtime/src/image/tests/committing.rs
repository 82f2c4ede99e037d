//! Images of an image and what a container wrote.

use std::io::{self, Read};

use serde_json::json;

use super::Fixture;
use super::archive::image;
use super::rootfs::Tree;
use super::tarball::Tarball;
use crate::image::{CommitOptions, Digest, ImageError};

fn base() -> Vec<Vec<u8>> {
    vec![Tarball::new().directory("etc/").file("etc/passwd", b"root").file("etc/kept", b"kept").end()]
}

fn changes() -> Vec<u8> {
    Tarball::new().file("etc/.wh.passwd", b"").file("new", b"made").end()
}

fn options() -> CommitOptions {
    let config = json!({ "Cmd": ["sh", "-c", "true"], "Env": ["A=1"] });
    CommitOptions {
        name: Some("made:v1".parse().unwrap()),
        author: Some("somebody".to_owned()),
        message: Some("a message".to_owned()),
        config: config.as_object().unwrap().clone(),
        changes: vec!["ENV B=2".parse().unwrap()],
    }
}

#[test]
fn a_commit_is_the_base_and_one_layer() {
    let fixture = Fixture::new();
    fixture.load(image(&base(), "base:v1")).unwrap();
    let before = fixture.store.resolve("base:v1").unwrap();
    let tar = changes();
    let id = fixture.store.commit_layer(&before, tar.as_slice(), &options()).unwrap().id;
    let made = fixture.store.resolve("made:v1").unwrap();
    assert_eq!(made.id(), id);
    assert_eq!(made.layers(), [before.layers(), &[Digest::of(&tar)]].concat());
    assert_eq!(made.size_bytes(), before.size_bytes() + 4);
    assert_eq!(Tree::of(&made).paths(), ["/etc", "/etc/kept", "/new"]);
    let config = made.config();
    assert_eq!(config.author().as_deref(), Some("somebody"));
    let env = config.config().as_ref().unwrap().env().clone();
    assert_eq!(env, Some(vec!["A=1".to_owned(), "B=2".to_owned()]));
    let last = config.history().as_ref().unwrap().last().unwrap().clone();
    assert_eq!(
        (last.comment().as_deref(), last.created_by().as_deref()),
        (Some("a message"), Some("sh -c true"))
    );
    // The base is what it was, and goes without the other.
    assert_eq!(fixture.store.resolve("base:v1").unwrap().id(), before.id());
    fixture.store.remove("base:v1", false, &|_| Vec::new()).unwrap();
    assert_eq!(Tree::of(&made).content("/new"), b"made");
}

#[test]
fn a_container_that_did_nothing_makes_an_empty_layer_as_often_as_it_likes() {
    let fixture = Fixture::new();
    fixture.load(image(&base(), "made:v1")).unwrap();
    for layers in 2..5 {
        let below = fixture.store.resolve("made:v1").unwrap();
        let empty = Tarball::new().end();
        fixture.store.commit_layer(&below, empty.as_slice(), &options()).unwrap();
        assert_eq!(fixture.store.resolve("made:v1").unwrap().layers().len(), layers);
    }
}

/// What a transfer is that ends badly, where a whole archive could end.
struct Broken(bool);

impl Read for Broken {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.0, true) {
            return Err(io::Error::other("the guest is gone"));
        }
        let tar = changes();
        let whole = tar.len() - 1024;
        out[..whole].copy_from_slice(&tar[..whole]);
        Ok(whole)
    }
}

#[test]
fn a_layer_that_breaks_off_leaves_nothing() {
    let fixture = Fixture::new();
    fixture.load(image(&base(), "base:v1")).unwrap();
    let (below, files) = (fixture.store.resolve("base:v1").unwrap(), fixture.files());
    let error = fixture.store.commit_layer(&below, Broken(false), &options()).unwrap_err();
    assert!(matches!(error, ImageError::Layer { .. }), "{error}");
    assert_eq!(fixture.files(), files);
}
