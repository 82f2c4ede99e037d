//! Registries that want a token from a server beside them.

use holm_runtime::registry::RegistryError;

use super::{Host, chain};
use holm_test_registry::{Fault, FaultyRegistry, RegistryImage};

fn guarded(image: &RegistryImage) -> FaultyRegistry {
    let registry = FaultyRegistry::with(image);
    let challenge = format!("Bearer realm=\"http://{}/token\",service=\"here\"", registry.host);
    registry.guard("Bearer t0ken", &challenge);
    registry.put("/token", "application/json", br#"{"token":"t0ken","expires_in":300}"#);
    registry
}

#[test]
fn a_token_is_asked_for_once_with_the_stored_password() {
    let (host, image) = (Host::new(), RegistryImage::new(2, 1000));
    let registry = guarded(&image);
    host.registries.credentials().store(&registry.host, "me", "pw").unwrap();
    host.pull(&registry.name()).unwrap();
    let requests = registry.requests();
    let asked: Vec<_> = requests.iter().filter(|line| line.contains("/token")).collect();
    assert_eq!(asked.len(), 1, "{requests:?}");
    assert!(asked[0].contains("scope=repository%3Ax%2Fy%3Apull"), "{asked:?}");
    assert!(asked[0].contains("service=here") && asked[0].ends_with("Basic bWU6cHc="), "{asked:?}");
}

#[test]
fn anybody_gets_a_token_for_what_is_public() {
    let (host, image) = (Host::new(), RegistryImage::new(1, 1000));
    let registry = guarded(&image);
    host.pull(&registry.name()).unwrap();
    assert!(!registry.requests().iter().any(|line| line.contains("Basic")));
}

#[test]
fn a_token_that_does_not_help_is_no_reason_to_go_on_forever() {
    let (host, image) = (Host::new(), RegistryImage::new(1, 1000));
    let registry = guarded(&image);
    registry.put("/token", "application/json", br#"{"access_token":"other"}"#);
    let error = host.pull(&registry.name()).unwrap_err();
    assert!(chain(&error).contains("denied"), "{}", chain(&error));
    assert!(registry.requests().len() < 10, "{:?}", registry.requests());
}

#[test]
fn a_login_at_a_token_server_is_verified() {
    let (host, registry) = (Host::new(), guarded(&RegistryImage::new(1, 10)));
    host.registries.verify(&registry.host, "me", "pw").unwrap();
    registry.fail("/token", &[Fault::Status(401)]);
    let error = host.registries.verify(&registry.host, "me", "wrong").unwrap_err();
    assert!(matches!(error, RegistryError::Login { .. }), "{error}");
}
