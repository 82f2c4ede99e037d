//! What a start does for the starts after it: it makes the template that it missed, or reports on the one that it used.

use std::thread;

use holm_protocol::vm_control::{Origin, SaveScope};

use super::run::Supervisor;
use crate::sandbox::{AgentClient, ControlError, Sandbox, Start, Told, VmmControl};
use crate::template::{Template, TemplateKey, TemplateStore};

impl Supervisor {
    /// What the guest has to be told of.
    pub(super) fn told(&self) -> Told {
        self.vm.sandbox.as_ref().map(|sandbox| sandbox.told.clone()).unwrap_or_default()
    }

    /// The agent has called and the guest knows of nothing that is the container's: now is the time to save it. Whatever
    /// fails here, the container starts.
    pub(super) fn settle_template(&self, agent: &AgentClient) {
        if let Some(sandbox) = &self.vm.sandbox {
            settle(TemplateStore::new(self.store.directories()), sandbox, agent);
        }
    }
}

/// As [`Supervisor::settle_template`], for any VM whose agent has just called.
pub(crate) fn settle(store: TemplateStore, sandbox: &Sandbox, agent: &AgentClient) {
    match &sandbox.start {
        Start::Cold | Start::Checkpoint(_) => {}
        Start::First(key) => make(&store, key, agent, &sandbox.vmm.control),
        Start::From(template) => {
            let (control, template) = (sandbox.vmm.control.clone(), template.clone());
            thread::spawn(move || judge(&store, &template, control.origin()));
        }
    }
}

fn make(store: &TemplateStore, key: &TemplateKey, agent: &AgentClient, control: &VmmControl) {
    let draft = match store.begin(key.clone()) {
        Ok(Some(draft)) => draft,
        Ok(None) => return,
        Err(error) => return tracing::warn!(error = &error as &dyn std::error::Error, "no template is made"),
    };
    if let Err(error) = agent.rehearse() {
        return tracing::warn!(%error, "no template is made of a guest that does not answer");
    }
    if let Err(error) = control.save(SaveScope::Template, &draft.state, &draft.memory) {
        return tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the VM was not saved as a template"
        );
    }
    holm_faults::crash!("template.saved");
    if let Err(error) = draft.finish() {
        tracing::warn!(error = &error as &dyn std::error::Error, "the template is lost");
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
