//! `--change`: one Dockerfile instruction, applied to an image config.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::instruction::{self, Assignment};

/// One instruction out of CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    text: String,
    setting: Setting,
}

/// What it sets.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Setting {
    Cmd(Vec<String>),
    Entrypoint(Vec<String>),
    Env(Vec<Assignment>),
    Expose(Vec<String>),
    Label(Vec<Assignment>),
    StopSignal(String),
    User(String),
    Volume(Vec<String>),
    WorkingDir(String),
}

/// Why a `--change` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// An instruction that only a build can do, or none at all.
    #[error(
        "{0} is not a valid change; use CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR"
    )]
    Unknown(String),
    /// Nothing, too much, or something else after the instruction.
    #[error("{instruction} cannot be {argument:?}: {reason}")]
    Argument {
        /// In capitals.
        instruction: &'static str,
        /// What follows it.
        argument: String,
        /// What it must be.
        reason: &'static str,
    },
}

impl FromStr for ConfigChange {
    type Err = ChangeError;

    fn from_str(text: &str) -> Result<Self, ChangeError> {
        let text = text.trim();
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        let bad =
            |instruction, reason| ChangeError::Argument { instruction, argument: rest.to_owned(), reason };
        let one = |instruction| {
            if rest.is_empty() { Err(bad(instruction, "it must not be empty")) } else { Ok(rest.to_owned()) }
        };
        let pairs = |instruction| {
            instruction::assignments(rest).ok_or_else(|| bad(instruction, "it must be KEY=VALUE"))
        };
        let list = |instruction| {
            let words = instruction::list(rest);
            if words.is_empty() { Err(bad(instruction, "it must not be empty")) } else { Ok(words) }
        };
        let setting = match word.to_ascii_uppercase().as_str() {
            "CMD" => Setting::Cmd(instruction::command(rest)),
            "ENTRYPOINT" => Setting::Entrypoint(instruction::command(rest)),
            "ENV" => Setting::Env(pairs("ENV")?),
            "EXPOSE" => Setting::Expose(
                list("EXPOSE")?
                    .iter()
                    .map(|port| {
                        instruction::port(port).ok_or(bad("EXPOSE", "it must be PORT[/tcp|udp|sctp]"))
                    })
                    .collect::<Result<_, _>>()?,
            ),
            "LABEL" => Setting::Label(pairs("LABEL")?),
            "STOPSIGNAL" => Setting::StopSignal(one("STOPSIGNAL")?),
            "USER" => Setting::User(one("USER")?),
            "VOLUME" => Setting::Volume(list("VOLUME")?),
            "WORKDIR" => Setting::WorkingDir(one("WORKDIR")?),
            _ => return Err(ChangeError::Unknown(text.to_owned())),
        };
        Ok(Self { text: text.to_owned(), setting })
    }
}

impl fmt::Display for ConfigChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl ConfigChange {
    /// Changes the `config` object of an image's config.
    ///
    /// # Errors
    /// The config has something else where this setting belongs.
    pub(in crate::image) fn apply(&self, config: &mut Map<String, Value>) -> Result<(), ChangeError> {
        let conflict = || ChangeError::Unknown(self.text.clone());
        match &self.setting {
            Setting::Cmd(words) => set(config, "Cmd", json!(words)),
            Setting::Entrypoint(words) => {
                // As in a Dockerfile: a base image's CMD was meant for its own entrypoint.
                set(config, "Entrypoint", json!(words));
            }
            Setting::Env(pairs) => {
                let list =
                    config.entry("Env").or_insert_with(|| json!([])).as_array_mut().ok_or_else(conflict)?;
                for Assignment { key, value } in pairs {
                    let prefix = format!("{key}=");
                    let entry = json!(format!("{prefix}{value}"));
                    match list.iter_mut().find(|old| old.as_str().is_some_and(|old| old.starts_with(&prefix)))
                    {
                        Some(old) => *old = entry,
                        None => list.push(entry),
                    }
                }
            }
            Setting::Label(pairs) => {
                let labels = object(config, "Labels").ok_or_else(conflict)?;
                labels.extend(pairs.iter().map(|pair| (pair.key.clone(), json!(pair.value))));
            }
            Setting::Expose(ports) => {
                let all = object(config, "ExposedPorts").ok_or_else(conflict)?;
                all.extend(ports.iter().map(|port| (port.clone(), json!({}))));
            }
            Setting::Volume(paths) => {
                let all = object(config, "Volumes").ok_or_else(conflict)?;
                all.extend(paths.iter().map(|path| (path.clone(), json!({}))));
            }
            Setting::StopSignal(signal) => set(config, "StopSignal", json!(signal)),
            Setting::User(user) => set(config, "User", json!(user)),
            Setting::WorkingDir(path) => {
                let base = config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default();
                let path = instruction::join(base, path);
                set(config, "WorkingDir", json!(path));
            }
        }
        Ok(())
    }
}

fn set(config: &mut Map<String, Value>, key: &str, value: Value) {
    config.insert(key.to_owned(), value);
}

fn object<'a>(config: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    config.entry(key).or_insert_with(|| json!({})).as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(changes: &[&str]) -> Value {
        let mut config = Map::new();
        for change in changes {
            change.parse::<ConfigChange>().unwrap().apply(&mut config).unwrap();
        }
        Value::Object(config)
    }

    #[test]
    fn each_instruction_sets_its_field() {
        assert_eq!(
            applied(&[
                r#"CMD ["/bin/sh", "-c", "echo hi"]"#,
                "entrypoint /bin/run it",
                "ENV A=1 B=\"two words\"",
                "ENV A 3 and more",
                "EXPOSE 80 53/udp",
                "LABEL version=1",
                "LABEL version=2 who='it''s me'",
                "STOPSIGNAL SIGINT",
                "USER nobody:nogroup",
                "VOLUME /data /more",
                r#"VOLUME ["/json"]"#,
                "WORKDIR /srv",
                "WORKDIR app",
            ]),
            json!({
                "Cmd": ["/bin/sh", "-c", "echo hi"],
                "Entrypoint": ["/bin/sh", "-c", "/bin/run it"],
                "Env": ["A=3 and more", "B=two words"],
                "ExposedPorts": { "80/tcp": {}, "53/udp": {} },
                "Labels": { "version": "2", "who": "its me" },
                "StopSignal": "SIGINT",
                "User": "nobody:nogroup",
                "Volumes": { "/data": {}, "/more": {}, "/json": {} },
                "WorkingDir": "/srv/app",
            })
        );
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for text in
            ["", "RUN make", "COPY a b", "ENV", "ENV A", "EXPOSE x", "EXPOSE 70000", "USER", "LABEL =1"]
        {
            assert!(text.parse::<ConfigChange>().is_err(), "{text:?}");
        }
    }
}
