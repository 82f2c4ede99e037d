//! What a start does for the starts after it: it makes the template that it missed, or reports on the one that it used.

use std::thread;

use holm_protocol::vm_control::{Origin, SaveScope};

use super::{Draft, Template, TemplateError, TemplateKey, TemplateStore};
use crate::sandbox::{AgentClient, AgentError, ControlError, Sandbox, Start, VmmControl};

/// Why a VM that booted did not become a template.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// Its guest.
    #[error("no template is made of a guest that does not answer")]
    Guest(#[from] AgentError),
    /// Its VMM.
    #[error("the VM was not saved as a template")]
    Save(#[from] ControlError),
    /// The place for it.
    #[error("the template is lost")]
    Store(#[from] TemplateError),
}

/// The agent of a VM has called, and the guest knows of nothing that is a container's: now is the time to save it. Whatever fails here,
/// the container starts.
pub(crate) fn settle(store: TemplateStore, sandbox: &Sandbox, agent: &AgentClient) {
    match &sandbox.start {
        Start::Cold | Start::Checkpoint(_) => {}
        Start::First(key) => make_missing(&store, key, agent, &sandbox.vmm.control),
        Start::From(template) => {
            let (control, template) = (sandbox.vmm.control.clone(), template.clone());
            thread::spawn(move || judge(&store, &template, control.origin()));
        }
    }
}

fn make_missing(store: &TemplateStore, key: &TemplateKey, agent: &AgentClient, control: &VmmControl) {
    let made = match store.begin(key.clone()) {
        Ok(Some(draft)) => make(draft, agent, control),
        Ok(None) => return,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = made {
        tracing::warn!(error = &error as &dyn std::error::Error, "this start makes no template");
    }
}

/// Saves a VM that has booted.
pub(super) fn make(draft: Draft, agent: &AgentClient, control: &VmmControl) -> Result<(), MakeError> {
    agent.rehearse()?;
    control.save(SaveScope::Template, &draft.state, &draft.memory)?;
    holm_faults::crash!("template.saved");
    Ok(draft.finish()?)
}

/// The workload of a VM that went on from a template runs: what its guest has written to until now, those after it will as well.
pub(crate) fn learn(store: &TemplateStore, sandbox: &Sandbox) {
    let Start::From(template) = &sandbox.start else { return };
    if !template.config.written.is_empty() {
        return;
    }
    let written = sandbox.vmm.control.written().map_err(MakeError::from);
    let noted = written.and_then(|written| match written.as_slice() {
        // It booted, because the template was of no use.
        [] => Ok(()),
        written => Ok(store.note_written(template, written)?),
    });
    if let Err(error) = noted {
        tracing::warn!(error = &error as &dyn std::error::Error, "what guests write to is not noted");
    }
}

/// Draws the conclusions from what the VMM found of a template.
fn judge(store: &TemplateStore, template: &Template, origin: Result<Origin, ControlError>) {
    let done = match origin {
        Ok(Origin::Template) if template.config.check_memory => store.note_checked(template),
        Ok(Origin::TemplateRefused { why, is_damaged: true }) => {
            tracing::warn!(why, "a template was of no use and is removed");
            store.remove(&template.name)
        }
        Ok(Origin::TemplateRefused { why, is_damaged: false }) => {
            tracing::warn!(why, "templates are of no use on this host: its VMs boot");
            store.refuse(&template.name, &why)
        }
        // Who ended before it could say leaves it to the next.
        Ok(Origin::Template | Origin::Boot) | Err(_) => Ok(()),
    };
    if let Err(error) = done {
        tracing::warn!(error = &error as &dyn std::error::Error, "a template is not noted or removed");
    }
}
