//! What a container ran, as the config of an image that is made of it (`commit`).

use oci_spec::image::ImageConfiguration;
use serde_json::{Map, Value, json};

use super::environment::extended;
use crate::container::settings::Settings;

/// The `config` object: the image's with the container's settings over it, as they were combined to run it. `image_json` is
/// the image's whole config, for what [`ImageConfiguration`] does not know (Healthcheck, OnBuild, Shell).
#[must_use]
pub fn image_config(
    image: &ImageConfiguration,
    image_json: &[u8],
    settings: &Settings,
) -> Map<String, Value> {
    let whole: Value = serde_json::from_slice(image_json).unwrap_or_default();
    let mut config = whole.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
    let image_env = image.config().as_ref().and_then(|config| config.env().clone()).unwrap_or_default();
    let mut set = |key: &str, value: Value| drop(config.insert(key.to_owned(), value));
    if !image_env.is_empty() || !settings.env.is_empty() {
        set("Env", json!(extended(image_env, &settings.env, false)));
    }
    if let Some(entrypoint) = &settings.entrypoint {
        // The image's command was for the image's entrypoint.
        set("Cmd", Value::Null);
        set("Entrypoint", if entrypoint.is_empty() { Value::Null } else { json!([entrypoint]) });
    }
    if !settings.cmd.is_empty() {
        set("Cmd", json!(settings.cmd));
    }
    if let Some(user) = &settings.user {
        set("User", json!(user));
    }
    if let Some(directory) = &settings.working_dir {
        set("WorkingDir", json!(directory));
    }
    if let Some(signal) = &settings.stop_signal {
        set("StopSignal", json!(signal.to_string()));
    }
    config.retain(|_, value| !value.is_null());
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combined(settings: &Settings) -> Value {
        let json = br#"{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
            "config": {"Env": ["A=1", "B=2"], "Cmd": ["--help"], "Entrypoint": ["run"], "Shell": ["/bin/ash"]}}"#;
        let image: ImageConfiguration = serde_json::from_slice(json).unwrap();
        Value::Object(image_config(&image, json, settings))
    }

    #[test]
    fn settings_stand_over_the_images() {
        let settings = Settings {
            env: vec!["B=3".parse().unwrap()],
            cmd: vec!["serve".to_owned()],
            user: Some("nobody".to_owned()),
            working_dir: Some("/srv".to_owned()),
            ..Settings::default()
        };
        assert_eq!(
            combined(&settings),
            json!({"Env": ["A=1", "B=3"], "Cmd": ["serve"], "Entrypoint": ["run"], "Shell": ["/bin/ash"],
                   "User": "nobody", "WorkingDir": "/srv"})
        );
        let other = Settings { entrypoint: Some("sh".to_owned()), ..Settings::default() };
        assert_eq!(combined(&other)["Entrypoint"], json!(["sh"]));
        assert_eq!(combined(&other).get("Cmd"), None);
    }
}
