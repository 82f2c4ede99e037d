//! Recognises that the guest's kernel panics, from its own words.

use holm_protocol::vm_exit::printable;

/// What `panic()` prints before its message (Linux `kernel/panic.c`).
const MARK: &[u8] = b"Kernel panic - not syncing: ";

/// Remembers the first panic it hears.
#[derive(Debug, Default)]
pub(super) struct PanicWatch {
    message: Option<String>,
}

impl PanicWatch {
    /// Listens to one line.
    pub(super) fn hear(&mut self, line: &[u8]) {
        if self.message.is_some() {
            return;
        }
        if let Some(at) = line.windows(MARK.len()).position(|w| w == MARK) {
            self.message = Some(printable(line.get(at + MARK.len()..).unwrap_or_default()));
        }
    }

    /// The first panic's message.
    pub(super) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_panic_counts() {
        let mut watch = PanicWatch::default();
        watch.hear(b"[    0.5] Run /init as init process");
        assert_eq!(watch.message(), None);
        watch.hear(b"[    0.6] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100");
        watch.hear(b"Kernel panic - not syncing: again");
        assert_eq!(watch.message(), Some("Attempted to kill init! exitcode=0x00000100"));
    }

    #[test]
    fn a_message_is_tamed() {
        let mut watch = PanicWatch::default();
        watch.hear(b"Kernel panic - not syncing: \x1b[2Jboo");
        assert_eq!(watch.message(), Some("?[2Jboo"));
    }
}
