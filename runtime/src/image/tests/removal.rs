//! M06: removing images, and exactly the layers that no other image uses.

use super::Fixture;
use super::archive::image;
use super::rootfs::disk_of;
use super::tarball::Tarball;
use crate::image::{Digest, ImageError};

fn unused(_: &Digest) -> Vec<String> {
    Vec::new()
}

fn layer(name: &str) -> Vec<u8> {
    Tarball::new().file(name, name.as_bytes()).end()
}

#[test]
fn m06_exactly_the_layers_of_no_other_image_go() {
    let fixture = Fixture::new();
    fixture.load(image(&[layer("a"), layer("b")], "one")).unwrap();
    let two = fixture.load(image(&[layer("a"), layer("c")], "two")).unwrap()[0].id;
    let before = disk_of(&fixture.store.resolve("one").unwrap());
    let removal = fixture.store.remove("two", false, &unused).unwrap();
    assert_eq!(removal.untagged, ["two".parse().unwrap()]);
    assert_eq!(removal.deleted, [two, Digest::of(&layer("c"))]);
    assert!(disk_of(&fixture.store.resolve("one").unwrap()) == before);
    fixture.store.remove("one", false, &unused).unwrap();
    assert_eq!(fixture.files(), ["image/repositories.json"]);
    assert!(matches!(fixture.store.remove("one", false, &unused), Err(ImageError::NotFound(_))));
}

#[test]
fn names_go_one_by_one() {
    let fixture = Fixture::new();
    let id = fixture.load(image(&[layer("a")], "one")).unwrap()[0].id.to_string();
    fixture.store.tag("one", &"two".parse().unwrap()).unwrap();
    let error = fixture.store.remove(&id, false, &unused).unwrap_err();
    assert!(
        matches!(&error, ImageError::SeveralNames { names, .. } if names == "one:latest, two:latest"),
        "{error}"
    );
    let removal = fixture.store.remove("one", false, &unused).unwrap();
    assert_eq!((removal.untagged.len(), removal.deleted.len()), (1, 0));
    assert!(fixture.store.resolve("two").is_ok());
    fixture.store.tag("two", &"three".parse().unwrap()).unwrap();
    let removal = fixture.store.remove(&id, true, &unused).unwrap();
    assert_eq!((removal.untagged.len(), removal.deleted.len()), (2, 2));
}

#[test]
fn m06_an_image_in_use_stays_unless_forced_and_then_until_it_is_free() {
    let fixture = Fixture::new();
    let id = fixture.load(image(&[layer("a")], "app")).unwrap()[0].id;
    let used = |other: &Digest| if *other == id { vec!["web".to_owned()] } else { Vec::new() };
    for name in ["app", &id.to_string()] {
        let error = fixture.store.remove(name, false, &used).unwrap_err();
        assert!(matches!(&error, ImageError::InUse { container, .. } if container == "web"), "{error}");
    }
    // A name can go as long as another is left.
    fixture.store.tag("app", &"other".parse().unwrap()).unwrap();
    fixture.store.remove("other", false, &used).unwrap();

    let image_before = fixture.store.resolve("app").unwrap();
    let removal = fixture.store.remove("app", true, &used).unwrap();
    assert_eq!((removal.untagged.len(), removal.deleted.len()), (1, 0));
    assert!(fixture.store.resolve("app").is_err() && fixture.store.list().unwrap().is_empty());
    assert!(!disk_of(&image_before).is_empty(), "the container can still start");
    assert_eq!(fixture.store.collect(&used).unwrap(), []);
    assert_eq!(fixture.store.collect(&unused).unwrap(), [id, Digest::of(&layer("a"))]);
    assert_eq!(fixture.files(), ["image/repositories.json"]);
}

#[test]
fn loading_a_removed_image_brings_it_back() {
    let fixture = Fixture::new();
    let archive = image(&[layer("a")], "app");
    fixture.load(archive.clone()).unwrap();
    fixture.store.remove("app", true, &|_| vec!["web".to_owned()]).unwrap();
    fixture.load(archive).unwrap();
    assert!(fixture.store.resolve("app").is_ok());
    assert_eq!(fixture.store.collect(&unused).unwrap(), []);
    assert!(fixture.store.resolve("app").is_ok());
}

#[test]
fn ids_by_prefix() {
    let fixture = Fixture::new();
    let ids: Vec<_> = (0..20)
        .map(|index| fixture.load(image(&[layer(&format!("{index}"))], &format!("i{index}"))).unwrap()[0].id)
        .collect();
    let first = ids[0].hex();
    let unique =
        (1..=64).find(|length| ids.iter().filter(|id| id.hex().starts_with(&first[..*length])).count() == 1);
    let unique = &first[..unique.unwrap()];
    assert_eq!(fixture.store.resolve(unique).unwrap().id(), ids[0]);
    assert_eq!(fixture.store.resolve(&format!("sha256:{unique}")).unwrap().id(), ids[0]);
    let shared = ids.iter().find(|id| id.hex()[..1] == ids[1].hex()[..1] && **id != ids[1]);
    if shared.is_some() {
        assert!(matches!(fixture.store.resolve(&ids[1].hex()[..1]), Err(ImageError::Ambiguous(_))));
    }
    for text in ["", "sha256:", "xyz", "sha256:xyz", &"0".repeat(65)] {
        assert!(fixture.store.resolve(text).is_err(), "{text:?}");
    }
}
