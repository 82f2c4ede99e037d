//! `holm login`: credentials for a registry into Docker's config.json, if they are right.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use holm_runtime::registry::{Credential, Registries};
use rustix::termios::{self, LocalModes, OptionalActions};

use crate::output;

/// The registry that is meant when none is named.
pub(super) const HUB: &str = "docker.io";

/// Authenticate to a registry
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  holm login -u me --password-stdin registry.example < token")]
pub(crate) struct Login {
    /// Password or token (--password-stdin keeps it out of the list of processes)
    #[arg(short, long, value_name = "STRING", conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Take the password from STDIN
    #[arg(long, requires = "username")]
    password_stdin: bool,
    /// Username
    #[arg(short, long, value_name = "STRING")]
    username: Option<String>,
    /// HOST or HOST:PORT; Docker Hub when there is none
    server: Option<String>,
}

impl Login {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let registries = Registries::from_environment()?;
        let registry = registry(self.server.as_deref());
        if self.username.is_none() && self.password.is_none() {
            // Docker tries what it has before it asks.
            if let Some(Credential::Password { user, password }) = registries.credentials().find(&registry)? {
                registries.verify(&registry, &user, &password)?;
                output::line("Login Succeeded");
                return Ok(ExitCode::SUCCESS);
            }
        }
        let (user, password) = self.ask()?;
        registries.verify(&registry, &user, &password)?;
        registries.credentials().store(&registry, &user, &password)?;
        output::line("Login Succeeded");
        Ok(ExitCode::SUCCESS)
    }

    fn ask(self) -> Result<(String, String)> {
        let terminal = io::stdin().is_terminal();
        if self.password.is_some() {
            output::complain(
                "using --password shows the password to everyone on this host: use --password-stdin",
            );
        }
        let user = match self.username {
            Some(user) => user,
            None if terminal => prompt("Username: ")?,
            None => bail!("cannot ask for a user name without a terminal: use --username"),
        };
        let password = match self.password {
            Some(password) => password,
            None if self.password_stdin => {
                let mut text = String::new();
                io::stdin().read_to_string(&mut text).context("cannot read the password")?;
                text.trim_end_matches(['\n', '\r']).to_owned()
            }
            None if terminal => hidden("Password: ")?,
            None => bail!("cannot ask for a password without a terminal: use --password-stdin"),
        };
        if user.is_empty() || password.is_empty() {
            bail!("user name and password must not be empty");
        }
        Ok((user, password))
    }
}

/// The registry in what the user wrote, which may be a URL as in config.json.
pub(super) fn registry(server: Option<&str>) -> String {
    let server = server.unwrap_or(HUB);
    let host = server.strip_prefix("https://").or(server.strip_prefix("http://")).unwrap_or(server);
    let host = host.split('/').next().unwrap_or(host);
    if matches!(host, "index.docker.io" | "registry-1.docker.io") { HUB.to_owned() } else { host.to_owned() }
}

fn prompt(text: &str) -> Result<String> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{text}").and_then(|()| stderr.flush()).context("cannot ask")?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read the answer")?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks without showing the answer.
fn hidden(text: &str) -> Result<String> {
    let stdin = io::stdin();
    let before = termios::tcgetattr(&stdin).context("cannot ask for a password")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    termios::tcsetattr(&stdin, OptionalActions::Flush, &silent).context("cannot hide the password")?;
    let answer = prompt(text);
    termios::tcsetattr(&stdin, OptionalActions::Flush, &before).context("cannot restore the terminal")?;
    let _ = writeln!(io::stderr());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        assert_eq!(registry(None), "docker.io");
        assert_eq!(registry(Some("https://index.docker.io/v1/")), "docker.io");
        assert_eq!(registry(Some("https://r.example:5000/")), "r.example:5000");
    }
}
