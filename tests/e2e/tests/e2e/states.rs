//! What a container is, how it ends, and how it goes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use holm_e2e::{Holm, Outcome, TestImage, until};

fn inspect(holm: &Holm, name: &str, template: &str) -> String {
    holm.holm(["inspect", "-f", template, name]).outcome().ok()
}

#[test]
fn m10_rm_deletes_the_layer_for_good() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "echo mine > /kept; exec sleep 1000");
    holm.holm(["rm", &name]).outcome().fails(1, "is running");
    holm.holm(["kill", &name]).outcome().ok();
    holm.holm(["wait", &name]).outcome().ok();
    let layer = holm.root().join("containers").join(inspect(&holm, &name, "{{.Id}}"));
    assert!(layer.join("layer.ext4").exists());
    holm.holm(["rm", &name]).outcome().ok();
    assert!(!layer.exists());
    assert_eq!(holm.run(["--name", &name, "busybox", "sh", "-c", "cat /kept || true"]).ok(), "");
}

#[test]
fn m21_a_container_whose_removal_fails_is_dead() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.name();
    holm.holm(["run", "--name", &name, "busybox", "true"]).outcome().ok();
    let directory = holm.root().join("containers").join(inspect(&holm, &name, "{{.Id}}"));
    let chattr = |flag: &str| {
        let run = Command::new("chattr").arg(flag).arg(directory.join("layer.ext4")).output().unwrap();
        Outcome::from(run).ok();
    };
    chattr("+i");
    holm.holm(["rm", &name]).outcome().fails(1, "layer.ext4: Operation not permitted");
    assert_eq!(inspect(&holm, &name, "{{.State.Status}} {{.State.Dead}}"), "dead true");
    holm.holm(["start", &name]).outcome().fails(1, "is marked for removal");
    holm.holm(["create", "--name", &name, "busybox"]).outcome().fails(125, "is already in use");
    chattr("-i");
    holm.holm(["rm", &name]).outcome().ok();
    assert!(!directory.exists());
    holm.holm(["create", "--name", &name, "busybox"]).outcome().ok();
}

#[test]
fn m21_a_container_that_is_being_removed_is_shown_as_that() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.name();
    holm.holm(["create", "--name", &name, "busybox"]).outcome().ok();
    let directory = holm.root().join("containers").join(inspect(&holm, &name, "{{.Id}}"));
    let shown = || {
        let filter = format!("name={name}");
        let columns = "{{.State}}, {{.Status}}, {{.Size}}";
        holm.holm(["ps", "-a", "-s", "--filter", &filter, "--format", columns]).outcome().ok()
    };
    assert!(shown().starts_with("created, Created, 0B (virtual "));
    // The removal rests for some seconds where the container has just gone.
    let rm = holm.holm(["rm", &name]).command();
    let mut slowly = Command::new("strace");
    slowly.args(["-qq", "-o", "/dev/null", "-P"]).arg(&directory);
    slowly.args(["-e", "inject=rename,renameat,renameat2:delay_exit=10000000", "holm"]).args(rm.get_args());
    slowly.envs(rm.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let removal = thread::spawn(move || slowly.output().expect("strace"));
    until("its removal", || shown() == "removing, Removal In Progress, ");
    holm.holm(["start", &name]).outcome().fails(1, "no such container");
    Outcome::from(removal.join().unwrap()).ok();
    assert_eq!(shown(), "");
}

#[test]
fn m22_killed_for_memory_is_said() {
    let holm = Holm::with(TestImage::Busybox);
    let hog = holm.name();
    let words = ["busybox", "tail", "/dev/zero"];
    assert_eq!(holm.holm(["run", "-m", "32m", "--name", &hog]).args(words).outcome().code, 137);
    assert_eq!(inspect(&holm, &hog, "{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 137");
    assert_eq!(inspect(&holm, &hog, "{{.State.Error}}"), "");
    // Without a limit, the VM's memory is one.
    let hog = holm.name();
    assert_eq!(holm.holm(["run", "--name", &hog]).args(words).outcome().code, 137);
    let error = inspect(&holm, &hog, "{{.State.OOMKilled}} {{.State.Error}}");
    assert!(error.starts_with("true killed for memory: all 512 MiB of the VM were in use"), "{error}");
    // Killed by somebody is not killed for memory.
    let killed = holm.background(&[], "exec sleep 1000");
    holm.holm(["kill", &killed]).outcome().ok();
    holm.holm(["wait", &killed]).outcome().ok();
    assert_eq!(inspect(&holm, &killed, "{{.State.OOMKilled}} {{.State.ExitCode}}"), "false 137");
}

#[test]
fn m22_a_vmm_that_died_is_said() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "exec sleep 1000");
    let vmm = inspect(&holm, &name, "{{.State.Pid}}");
    Outcome::from(Command::new("kill").args(["-KILL", &vmm]).output().unwrap()).ok();
    until("its end", || inspect(&holm, &name, "{{.State.Status}}") == "exited");
    let error = inspect(&holm, &name, "{{.State.ExitCode}} {{.State.Error}}");
    assert!(error.starts_with("125 the VM ended: ") && error.contains("signal 9"), "{error}");
    holm.holm(["start", &name]).outcome().ok();
}

#[test]
fn m22_a_vmm_that_the_host_killed_for_memory_is_said() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "exec sleep 1000");
    let cgroup = PathBuf::from("/sys/fs/cgroup").join(&name);
    fs::create_dir(&cgroup).unwrap();
    fs::write(cgroup.join("memory.max"), "8M").unwrap();
    fs::write(cgroup.join("memory.swap.max"), "0").unwrap();
    fs::write(cgroup.join("cgroup.procs"), inspect(&holm, &name, "{{.State.Pid}}")).unwrap();
    holm.holm(["exec", &name, "dd", "if=/dev/zero", "of=/dev/shm/all", "bs=1M", "count=32"]).outcome();
    until("its end", || inspect(&holm, &name, "{{.State.Status}}") == "exited");
    let error = inspect(&holm, &name, "{{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}");
    fs::remove_dir(&cgroup).unwrap();
    assert!(
        error.starts_with("125 false the VM ended: ")
            && error.contains("the host's kernel says: Memory cgroup out of memory: Killed process"),
        "{error}"
    );
}

#[test]
fn m23_the_id_can_be_recomputed_and_names_the_container_by_its_beginning() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.name();
    let id = holm.holm(["create", "--name", &name, "busybox"]).outcome().ok();
    let record = fs::File::open(holm.root().join("containers").join(&id).join("record.json")).unwrap();
    let sum = Outcome::from(Command::new("sha256sum").stdin(record).output().unwrap()).ok();
    assert_eq!(sum.split(' ').next(), Some(id.as_str()));
    for prefix in [&id[..12], &id[..20]] {
        assert_eq!(inspect(&holm, prefix, "{{.Name}}"), format!("/{name}"));
    }
    assert!(holm.holm(["ps", "-a"]).outcome().ok().contains(&id[..12]));
}
