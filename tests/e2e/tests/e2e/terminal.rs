//! A terminal session.

use holm_e2e::{Holm, Pty, TestImage};

#[test]
fn m29_a_shell_on_a_terminal() {
    let holm = Holm::with(TestImage::Busybox);
    let mut pty = Pty::start(holm.holm(["run", "--rm", "-it", "busybox", "sh"]).command(), 93, 31);
    pty.expect("# ");
    pty.type_("stty size; tty; echo $TERM\n");
    pty.expect("31 93");
    pty.expect("/dev/pts/0");
    pty.expect("xterm");
    pty.expect("# ");
    // The child says when Ctrl-C will end it (the shell's echo has "be''gun"): busybox's shell loses a signal that comes
    // while it forks, on any runtime.
    pty.type_("sh -c \"echo be''gun; exec sleep 1000\"\n");
    pty.expect("begun");
    pty.type_("\u{3}");
    pty.expect("# ");
    pty.resize(120, 40);
    pty.type_("sleep 1; stty size\n");
    pty.expect("40 120");
    pty.type_("exit 5\n");
    assert_eq!(pty.wait(), 5);
}

#[test]
fn a_terminal_needs_a_terminal() {
    let holm = Holm::with(TestImage::Busybox);
    holm.run(["-it", "busybox", "sh"]).fails(125, "the input device is not a TTY");
}
