//! The workload's environment: Docker's defaults, then the image's, then the user's; later values win.

use crate::container::settings::EnvVar;

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `NAME=value` in the order PATH, HOSTNAME, TERM, image, user. HOME is the guest's to add: it stands in the
/// container's passwd file.
pub(super) fn environment(image_env: &[String], given: &[EnvVar], hostname: &str, tty: bool) -> Vec<String> {
    let mut environment: Vec<String> = Vec::new();
    set(&mut environment, DEFAULT_PATH.to_owned());
    set(&mut environment, format!("HOSTNAME={hostname}"));
    if tty {
        set(&mut environment, "TERM=xterm".to_owned());
    }
    extend(&mut environment, image_env.iter().cloned(), given);
    environment
}

/// An environment with more in it: that of a process that is executed in a container.
pub(super) fn extended(mut environment: Vec<String>, given: &[EnvVar], tty: bool) -> Vec<String> {
    if tty {
        set(&mut environment, "TERM=xterm".to_owned());
    }
    extend(&mut environment, std::iter::empty(), given);
    environment
}

fn extend(environment: &mut Vec<String>, image_env: impl Iterator<Item = String>, given: &[EnvVar]) {
    // Bare names were pinned to the caller's values when the settings were made.
    let given = given.iter().filter_map(|variable| variable.resolve(|_| None));
    for variable in image_env.chain(given) {
        set(environment, variable);
    }
}

fn set(environment: &mut Vec<String>, variable: String) {
    let name = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
    let wanted = name(&variable);
    match environment.iter_mut().find(|existing| name(existing) == wanted) {
        Some(existing) => *existing = variable,
        None => environment.push(variable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_values_win_in_place() {
        let given = ["A=3", "PATH=/x"].map(|t| t.parse().unwrap());
        let image = ["A=1".to_owned(), "B=2".to_owned()];
        assert_eq!(
            environment(&image, &given, "box", true),
            ["PATH=/x", "HOSTNAME=box", "TERM=xterm", "A=3", "B=2"]
        );
    }
}
