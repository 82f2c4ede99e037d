//! What a container's start has to do with templates.

use super::run::Supervisor;
use crate::sandbox::{AgentClient, Told};
use crate::template::{TemplateStore, learn, settle};

impl Supervisor {
    /// What the guest has to be told of.
    pub(super) fn told(&self) -> Told {
        self.vm.sandbox.as_ref().map(|sandbox| sandbox.told.clone()).unwrap_or_default()
    }

    /// As [`settle`].
    pub(super) fn settle_template(&self, agent: &AgentClient) {
        if let Some(sandbox) = &self.vm.sandbox {
            settle(TemplateStore::new(self.store.directories()), sandbox, agent);
        }
    }

    /// As [`learn`].
    pub(super) fn learn_for_templates(&self) {
        if let Some(sandbox) = &self.vm.sandbox {
            learn(&TemplateStore::new(self.store.directories()), sandbox);
        }
    }
}
