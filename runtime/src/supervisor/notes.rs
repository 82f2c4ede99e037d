//! What the supervisor writes down as events ([`crate::events`]): how its container's lives begin and end.

use super::error::SupervisorError;
use super::run::Supervisor;
use crate::sandbox::Exit;

impl Supervisor {
    /// The workload's end, if it ever ran. To be called when the state tells of it.
    pub(super) fn note_death(&self, result: &Result<Exit, SupervisorError>) {
        let Some(started) = self.vm.started else { return };
        if result.as_ref().is_ok_and(|exit| exit.oom_killed) {
            self.container.note("oom", &[]);
        }
        let code = result.as_ref().map_or_else(SupervisorError::exit_code, |exit| exit.code);
        let ran_s = started.elapsed().as_secs();
        let details = [("exitCode", code.to_string()), ("execDuration", ran_s.to_string())];
        self.container.note("die", &details);
        if self.stop.is_some() {
            self.container.note("stop", &[]);
        }
    }

    /// A signal that a user sent.
    pub(super) fn note_signal(&self, signal: i32) {
        self.container.note("kill", &[("signal", signal.to_string())]);
    }
}
