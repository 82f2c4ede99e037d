//! `holm completion`: what a shell needs to complete Holm's command lines.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use clap_complete::env::Shells;

use crate::completion::VARIABLE;

/// Generate the autocompletion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  source <(holm completion bash)\n  \
                        holm completion bash > /etc/bash_completion.d/holm\n  \
                        holm completion zsh > /usr/local/share/zsh/site-functions/_holm\n  \
                        holm completion fish > ~/.config/fish/completions/holm.fish")]
pub(crate) struct Completion {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// As a file in zsh's `fpath` the script is the body of a function, whose first call is to complete something already.
const ZSH_AUTOLOAD: &str = "if [ \"$funcstack[1]\" = \"_holm\" ]; then _clap_dynamic_completer_holm; fi\n";

/// The shells that completion works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Fish,
    Zsh,
}

impl Completion {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let name = match self.shell {
            Shell::Bash => "bash",
            Shell::Fish => "fish",
            Shell::Zsh => "zsh",
        };
        let shells = Shells::builtins();
        let shell = shells.completer(name).ok_or_else(|| anyhow!("no completion for {name}"))?;
        let mut stdout = io::stdout().lock();
        shell.write_registration(VARIABLE, "holm", "holm", "holm", &mut stdout)?;
        if self.shell == Shell::Zsh {
            stdout.write_all(ZSH_AUTOLOAD.as_bytes())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
