//! `holm exec` and `holm attach`: beside a workload that runs (M29).

use holm_e2e::{Holm, Pty, TestImage, until};

#[test]
fn m29_exec_runs_beside_the_workload() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&["-e", "A=1", "-w", "/tmp"], "exec sleep 1000");
    let exec = |words: &[&str]| holm.holm(["exec"]).args(words).outcome();
    assert!(exec(&[&name, "ps"]).ok().contains("sleep 1000"), "one pid namespace");
    assert_eq!(exec(&["-e", "B=2", &name, "sh", "-c", "echo $A $B; pwd"]).ok(), "1 2\n/tmp");
    assert_eq!(exec(&["-w", "/etc", "-u", "1000:1000", &name, "sh", "-c", "pwd; id -u"]).ok(), "/etc\n1000");
    let both = exec(&[&name, "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((both.code, both.out(), both.err()), (7, "out".into(), "err".into()));
    exec(&[&name, "no-such-program"]).fails(127, "executable file not found in $PATH");
    exec(&[&name, "/etc/passwd"]).fails(126, "permission denied");
    exec(&["-w", "etc", &name, "ls"]).fails(126, "absolute path");
    let input = vec![b'x'; 300_000];
    let counted = holm.holm(["exec", "-i", &name, "wc", "-c"]).outcome_with_input(&input);
    assert_eq!(counted.ok().trim(), "300000");
    holm.holm(["rm", "-f", &name]).outcome().ok();
}

#[test]
fn m29_exec_in_the_background_goes_on() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "exec sleep 1000");
    assert_eq!(holm.holm(["exec", "-d", &name, "sh", "-c", "echo done >/done"]).outcome().ok(), "");
    until("what it wrote", || holm.holm(["exec", &name, "cat", "/done"]).outcome().out() == "done");
    holm.holm(["rm", "-f", &name]).outcome().ok();
}

#[test]
fn m29_many_execs_at_once_keep_their_output_apart() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "exec sleep 1000");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (holm, name) = (Holm::with(TestImage::Busybox), name.clone());
            scope.spawn(move || {
                let script = format!("seq {number}000 {number}999");
                let expected = holm.holm(["exec", &name, "sh", "-c", &script]).outcome().ok();
                assert_eq!(expected.lines().count(), 1000);
                assert!(expected.starts_with(&format!("{}", number * 1000)), "{number}");
            });
        }
    });
    holm.holm(["rm", "-f", &name]).outcome().ok();
}

#[test]
fn m29_a_shell_in_a_running_container() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "exec sleep 1000");
    let mut pty = Pty::start(holm.holm(["exec", "-it", &name, "sh"]).command(), 100, 40);
    pty.expect("/ # ");
    pty.type_("stty size; echo $TERM\n");
    pty.expect("40 100");
    pty.expect("xterm");
    pty.resize(120, 50);
    pty.type_("while [ \"$(stty size)\" != '50 120' ]; do sleep 0.1; done; echo resized\n");
    pty.expect("resized");
    pty.type_("exit 5\n");
    assert_eq!(pty.wait(), 5);
    holm.holm(["rm", "-f", &name]).outcome().ok();
}

#[test]
fn m29_detach_keys_leave_the_container_running_and_attach_comes_back() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.name();
    let mut pty = Pty::start(holm.holm(["run", "-it", "--name", &name, "busybox", "sh"]).command(), 80, 24);
    pty.expect("/ # ");
    pty.type_("x=before\n\x10\x11");
    pty.expect("read escape sequence");
    assert_eq!(pty.wait(), 0);
    assert!(holm.holm(["ps"]).outcome().ok().contains(&name));
    let mut pty = Pty::start(holm.holm(["attach", &name]).command(), 80, 24);
    pty.type_("echo $x and after\n");
    pty.expect("before and after");
    pty.type_("exit 3\n");
    assert_eq!(pty.wait(), 3);
    holm.holm(["attach", &name]).outcome().fails(125, "attach to a stopped container");
    holm.holm(["rm", &name]).outcome().ok();
}
