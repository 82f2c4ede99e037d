//! Recognises that the guest's kernel panics, from its own words.

use holm_protocol::vm_exit::printable;

/// What `panic()` prints before its message (Linux `kernel/panic.c`).
const MARK: &[u8] = b"Kernel panic - not syncing: ";

/// How a line begins in which the kernel says what it stumbled over (`arch/x86/mm/fault.c`, `lib/bug.c`,
/// `arch/x86/kernel/dumpstack.c`). The panic that follows calls each of them a fatal exception and no more.
const STUMBLES: [&[u8]; 3] = [b"BUG: ", b"kernel BUG at ", b"Oops: "];

/// Remembers the first panic it hears, and what led to it.
#[derive(Debug, Default)]
pub(super) struct PanicWatch {
    stumble: Option<String>,
    message: Option<String>,
}

impl PanicWatch {
    /// Listens to one line.
    pub(super) fn hear(&mut self, line: &[u8]) {
        if self.message.is_some() {
            return;
        }
        if let Some(at) = find(line, MARK) {
            let panic = printable(line.get(at + MARK.len()..).unwrap_or_default());
            self.message = Some(match self.stumble.take() {
                Some(stumble) => format!("{panic}: {stumble}"),
                None => panic,
            });
        } else if self.stumble.is_none() {
            let at = STUMBLES.iter().find_map(|mark| find(line, mark));
            self.stumble = at.and_then(|at| Some(printable(line.get(at..)?)));
        }
    }

    /// The first panic's message.
    pub(super) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

/// Where `mark` stands in `line`.
fn find(line: &[u8], mark: &[u8]) -> Option<usize> {
    line.windows(mark.len()).position(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_stumbled_over_is_told() {
        let mut watch = PanicWatch::default();
        for line in [
            "[    3.1] BUG: kernel NULL pointer dereference, address: 0000000000000008",
            "[    3.1] #PF: supervisor read access in kernel mode",
            "[    3.1] Oops: 0000 [#1] PREEMPT SMP",
            "[    3.2] Kernel panic - not syncing: Fatal exception",
        ] {
            assert_eq!(watch.message(), None);
            watch.hear(line.as_bytes());
        }
        assert_eq!(
            watch.message(),
            Some("Fatal exception: BUG: kernel NULL pointer dereference, address: 0000000000000008")
        );
    }

    #[test]
    fn the_first_panic_counts() {
        let mut watch = PanicWatch::default();
        for short in ["", "B", "BUG:"] {
            watch.hear(short.as_bytes());
        }
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
