//! Completion of command lines, with the names of what is there.
//!
//! The script that `holm completion` prints makes the shell run `holm` again with `HOLM_COMPLETE` set; what it then prints
//! are the candidates. Which words are names is told by the arguments' ids, so that no verb has to know of completion.

use std::process::ExitCode;

use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use holm_runtime::container::{ContainerStore, Status};
use holm_runtime::host::Directories;
use holm_runtime::image::ImageStore;
use holm_runtime::network::NetworkStore;
use holm_runtime::template::TemplateStore;
use holm_runtime::volume::VolumeStore;

use crate::{described, output};

/// What the shell's script sets. Docker's and others' `COMPLETE` may stand in anybody's environment.
pub(crate) const VARIABLE: &str = "HOLM_COMPLETE";

/// Answers the shell's question, if this is one.
pub(crate) fn answer() -> Option<ExitCode> {
    std::env::var_os(VARIABLE)?;
    let arguments = std::env::args_os();
    let here = std::env::current_dir().ok();
    match CompleteEnv::with_factory(command).var(VARIABLE).try_complete(arguments, here.as_deref()) {
        Ok(true) => Some(ExitCode::SUCCESS),
        Ok(false) => None,
        Err(error) => {
            output::complain(error.to_string().trim_end());
            Some(ExitCode::from(crate::exit::FAILURE))
        }
    }
}

/// The command line, with candidates for names.
pub(crate) fn command() -> Command {
    named(described())
}

fn named(command: Command) -> Command {
    let verb = command.get_name().to_owned();
    command.mut_args(|argument| candidates(&verb, argument)).mut_subcommands(named)
}

fn candidates(verb: &str, argument: Arg) -> Arg {
    let verb = verb.to_owned();
    match argument.get_id().as_str() {
        "container" | "containers" => argument.add(ArgValueCandidates::new(move || containers(&verb))),
        "image" | "images" | "source_image" => argument.add(ArgValueCandidates::new(images)),
        "network" | "networks" => argument.add(ArgValueCandidates::new(networks)),
        "templates" => argument.add(ArgValueCandidates::new(templates)),
        "volumes_of_store" => argument.add(ArgValueCandidates::new(volumes)),
        "names" => argument.add(ArgValueCandidates::new(move || {
            containers(&verb).into_iter().chain(images()).collect::<Vec<_>>()
        })),
        _ => argument,
    }
}

/// Names of the containers with which the verb can do something. A store that cannot be read has none.
fn containers(verb: &str) -> Vec<CompletionCandidate> {
    let all = ContainerStore::new(Directories::from_environment()).list_states().unwrap_or_default();
    let fits = |status: Status| match verb {
        "attach" | "exec" | "fork" | "kill" | "pause" | "stop" | "top" => status == Status::Running,
        "unpause" => status == Status::Paused,
        "start" => matches!(status, Status::Created | Status::Exited),
        _ => true,
    };
    let fitting = all.iter().filter(|(_, state)| fits(state.status));
    fitting.map(|(container, _)| CompletionCandidate::new(container.name.as_str())).collect()
}

/// Names of volumes.
fn volumes() -> Vec<CompletionCandidate> {
    let all = VolumeStore::new(Directories::from_environment()).list().unwrap_or_default();
    all.iter().map(|volume| CompletionCandidate::new(volume.name.as_str())).collect()
}

/// Names of templates.
fn templates() -> Vec<CompletionCandidate> {
    let all = TemplateStore::new(&Directories::from_environment()).list().unwrap_or_default();
    all.into_iter().map(|template| CompletionCandidate::new(template.name)).collect()
}

/// Names of networks.
fn networks() -> Vec<CompletionCandidate> {
    let all = NetworkStore::new(Directories::from_environment()).list().unwrap_or_default();
    all.iter().map(|network| CompletionCandidate::new(network.name.as_str())).collect()
}

/// Names of images; IDs of those without.
fn images() -> Vec<CompletionCandidate> {
    let store = ImageStore::open(Directories::from_environment().root());
    let all = store.and_then(|store| store.list()).unwrap_or_default();
    let names = all.iter().flat_map(|image| {
        let unnamed = image.names().is_empty().then(|| image.id().short());
        image.names().iter().map(|name| name.familiar()).chain(unnamed)
    });
    names.map(CompletionCandidate::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        command().debug_assert();
    }

    /// Verbs that people see and that have no word after their help, with those of groups.
    fn without_example(command: &Command) -> Vec<String> {
        // `help` is clap's own.
        let seen = command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help");
        seen.flat_map(|verb| match (verb.has_subcommands(), verb.get_after_help()) {
            (true, _) => without_example(verb),
            (false, None) => vec![verb.get_name().to_owned()],
            (false, Some(_)) => Vec::new(),
        })
        .collect()
    }

    #[test]
    fn every_verb_has_an_example() {
        assert_eq!(without_example(&described()), [] as [&str; 0]);
    }
}
