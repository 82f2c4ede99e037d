//! What the host's kernel tells of system calls (Linux `Documentation/trace/ftrace.rst`). It does so behind the filters; of a call
//! that one of them refused a probe tells (`Documentation/trace/kprobetrace.rst`), where the kernel ends its process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use super::threads::{KVM_RUN, REFUSED, Threads};

const TRACING: &str = "/sys/kernel/tracing";
/// Who is a thread of a VMM, by its name.
const VMM: &str =
    r#"(comm == "holm-vmm" || comm ~ "vcpu*" || comm ~ "disk-*" || comm ~ "net-*" || comm == "shares")"#;
/// Of each processor, in KiB.
const BUFFER: &str = "16384";
const END: &str = "the end of the trace";

/// A trace that goes on until it is asked for, or dropped.
pub(super) struct Trace {
    directory: PathBuf,
    reader: Option<JoinHandle<Threads>>,
    /// Its probe's name.
    probe: String,
}

impl Trace {
    /// Follows every VMM that is started from now on.
    pub(super) fn begin() -> Self {
        let directory = PathBuf::from(format!("{TRACING}/instances/holm-{}", std::process::id()));
        fs::create_dir(&directory).expect("an instance of ftrace, which needs root and tracefs");
        let probe = format!("{REFUSED}_{}", std::process::id());
        probes(&format!("p:{probe} force_sig_seccomp number=%di:s32"));
        let mut trace = Self { directory, reader: None, probe };
        trace.set("trace_clock", "global");
        trace.set("buffer_size_kb", BUFFER);
        // A vCPU that runs makes one call all the time: KVM_RUN.
        trace.follow("raw_syscalls/sys_enter", &format!("id != 16 && {VMM}"));
        trace.follow("syscalls/sys_enter_ioctl", &format!("cmd != {KVM_RUN:#x} && {VMM}"));
        trace.follow(&format!("kprobes/{}", trace.probe), VMM);
        trace.follow("sched/sched_process_fork", VMM);
        trace.follow("task/task_rename", r#"oldcomm == "holm-vmm""#);
        trace.follow("sched/sched_process_exec", r#"filename ~ "*/holm-vmm""#);
        let lines = BufReader::new(File::open(trace.directory.join("trace_pipe")).unwrap()).lines();
        let read = move || {
            let mut threads = Threads::new();
            lines
                .map_while(Result::ok)
                .take_while(|line| !line.contains(END))
                .for_each(|line| threads.read(&line));
            threads
        };
        trace.reader = Some(thread::spawn(read));
        trace
    }

    /// What came of it.
    pub(super) fn end(mut self) -> Threads {
        self.set("trace_marker", END);
        self.reader.take().unwrap().join().unwrap()
    }

    fn follow(&self, event: &str, filter: &str) {
        self.set(&format!("events/{event}/filter"), filter);
        self.set(&format!("events/{event}/enable"), "1");
    }

    fn set(&self, file: &str, value: &str) {
        fs::write(self.directory.join(file), value).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // Of a reader that still waits the instance stays, and does no more.
        let _ = fs::write(self.directory.join("events/enable"), "0");
        let _ = fs::remove_dir(&self.directory);
        probes(&format!("-:{}", self.probe));
    }
}

/// Adds one to the kernel's probes, or takes one away. Fails without harm where another trace still uses it.
fn probes(line: &str) {
    let file = File::options().append(true).open(format!("{TRACING}/kprobe_events"));
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        println!("{line}: {error}");
    }
}
