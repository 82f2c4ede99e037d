//! An image's config: read, and made into what runs in a container without further settings.

use holm_runtime::bundle;
use holm_runtime::container::settings::Settings;
use holm_runtime::image::fuzzing::config;

use crate::Target;
use crate::images;

pub(crate) const TARGET: Target = Target {
    name: "image_config",
    run,
    seeds,
    max_bytes: 8192,
    code: &["runtime/src/image/config.rs", "runtime/src/bundle/"],
    words: &[&[
        "\"config\":{",
        "\"Cmd\":[",
        "\"Entrypoint\":[",
        "\"Env\":[",
        "\"User\":\"",
        "\"WorkingDir\":\"",
        "\"Healthcheck\":{",
        "\"Volumes\":{",
        "\"ExposedPorts\":{",
        "\"StopSignal\":\"",
        "\"rootfs\":{",
        "\"diff_ids\":[",
        "\"history\":[",
        "\"variant\":\"",
    ]],
};

fn run(bytes: &[u8]) {
    let Some(image) = config(bytes) else { return };
    let settings = Settings::default();
    if let Ok(bundle) = bundle::build(&image, &settings, "host") {
        let spec = serde_json::to_string(&bundle.spec).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&spec).is_ok());
    }
    let map = bundle::image_config(&image, bytes, &settings);
    assert!(serde_json::to_string(&map).is_ok());
}

fn seeds() -> Vec<Vec<u8>> {
    let config = images::config(&[b"layer".to_vec()]);
    let with = |path: &str, value: serde_json::Value| {
        let mut config = config.clone();
        *config.pointer_mut(path).unwrap() = value;
        config.to_string().into_bytes()
    };
    use serde_json::json;
    vec![
        config.to_string().into_bytes(),
        with("/config", json!(null)),
        with("/config/Cmd", json!(null)),
        with("/config/Entrypoint", json!([])),
        with("/config/User", json!("0:0:0")),
        with("/config/WorkingDir", json!("../..")),
        with("/rootfs/diff_ids", json!(["sha256:0", "x"])),
        with("/os", json!("windows")),
        with("/history", json!(null)),
        with("/created", json!("yesterday")),
        b"{}".to_vec(),
    ]
}
