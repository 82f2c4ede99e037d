//! TLS and passwords, with a real registry.

use std::io::Cursor;
use std::sync::Arc;

use holm_runtime::image::{Archive, ImageError, ImportOptions, Reference};
use holm_runtime::registry::{RegistryConfig, RegistryError, RegistrySettings};

use crate::{Host, chain};
use holm_test_registry::{DockerRegistry, Mode, tar};

fn host(registry: &DockerRegistry, settings: RegistrySettings) -> Host {
    let mut config = RegistryConfig::default();
    config.registry.insert(registry.host.clone(), settings);
    Host::configured(config)
}

fn trusting(registry: &DockerRegistry) -> RegistrySettings {
    RegistrySettings { ca: vec![registry.ca()], ..RegistrySettings::default() }
}

#[test]
fn push_and_pull_need_the_password() {
    let registry = DockerRegistry::start(Mode::Secured);
    let host = host(&registry, trusting(&registry));
    let name: Reference = format!("{}/private:1", registry.host).parse().unwrap();
    let options = ImportOptions { name: Some(name.clone()), ..ImportOptions::default() };
    let archive = Archive::Stream(Box::new(Cursor::new(tar(1, 1000))));
    let id = host.store.import(archive, &options, &mut |_| {}).unwrap().id;
    let image = host.store.resolve(&id.to_string()).unwrap();
    let push = || host.store.push(&host.registries, &image, &name, &(Arc::new(|_| {}) as _));
    let denied = |error: &ImageError| matches!(error, ImageError::Registry(RegistryError::Denied { .. }));
    let error = push().unwrap_err();
    assert!(denied(&error), "{}", chain(&error));
    host.registries.credentials().store(&registry.host, "me", "wrong").unwrap();
    let error = push().unwrap_err();
    assert!(denied(&error), "{}", chain(&error));
    host.registries.credentials().store(&registry.host, "me", "s3cret").unwrap();
    push().unwrap();
    host.store.remove(&id.to_string(), true, &|_| Vec::new()).unwrap();
    assert_eq!(host.pull(&name.to_string()).unwrap().id, id);
    assert!(host.registries.credentials().erase(&registry.host).unwrap());
    assert!(denied(&host.pull(&name.to_string()).unwrap_err()));
}

#[test]
fn a_login_is_verified() {
    let registry = DockerRegistry::start(Mode::Secured);
    let host = host(&registry, trusting(&registry));
    host.registries.verify(&registry.host, "me", "s3cret").unwrap();
    for (user, password) in [("me", "wrong"), ("you", "s3cret")] {
        let error = host.registries.verify(&registry.host, user, password).unwrap_err();
        assert!(matches!(error, RegistryError::Login { .. }), "{error}");
    }
}

#[test]
fn certificates_of_unknown_cas_are_refused_unless_that_is_wanted() {
    let registry = DockerRegistry::start(Mode::Secured);
    let verify = |host: &Host| host.registries.verify(&registry.host, "me", "s3cret");
    let error = verify(&host(&registry, RegistrySettings::default())).unwrap_err();
    assert!(chain(&error).contains("certificate"), "{}", chain(&error));
    verify(&host(&registry, RegistrySettings { insecure: true, ..RegistrySettings::default() })).unwrap();
    // Loopback registries need no table.
    verify(&Host::new()).unwrap();
}

#[test]
fn plain_http_is_for_insecure_registries_only() {
    let registry = DockerRegistry::start(Mode::Plain);
    assert!(
        host(&registry, RegistrySettings::default()).registries.verify(&registry.host, "a", "b").is_err()
    );
    Host::new().registries.verify(&registry.host, "a", "b").unwrap();
}
