//! The small verbs as a user meets them, where no container needs to run: history, save, prune, system, info, labels.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod holm;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use holm::{Holm, text};
use holm_runtime::image::Digest;

/// Loads an image of one layer with a history and labels; gives its ID.
fn load(holm: &Holm, name: &str, seed: u32) -> String {
    let layer = holm_test_registry::tar(seed, 50_000);
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2026-01-02T03:04:05Z",
        "config": { "Cmd": ["/bin/true"], "Labels": { "from": "image", "seed": seed.to_string() } },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer).to_string()] },
        "history": [
            { "created": "2026-01-02T03:04:05Z", "created_by": "ADD the\u{1b}[2J whole of a tree that has a long name /" },
            { "created": "2026-01-02T03:04:06Z", "created_by": "CMD [\"/bin/true\"]", "empty_layer": true, "comment": "x" },
        ],
    });
    let config = config.to_string().into_bytes();
    let manifest = json!([{ "Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"] }]);
    let directory = holm.directory.path().join(format!("archive-{seed}"));
    fs::create_dir_all(&directory).unwrap();
    for (file, bytes) in [
        ("config.json", config.as_slice()),
        ("layer.tar", &layer),
        ("manifest.json", manifest.to_string().as_bytes()),
    ] {
        fs::write(directory.join(file), bytes).unwrap();
    }
    holm.ok(&["load", "-q", "-i", &directory.display().to_string()]);
    Digest::of(&config).to_string()
}

fn path(holm: &Holm, name: &str) -> String {
    holm.directory.path().join(name).display().to_string()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn history_prints_dockers_columns() {
    let holm = Holm::new();
    let id = load(&holm, "app", 1);
    let out = holm.ok(&["history", "app"]);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("IMAGE          CREATED"), "{out}");
    assert!(lines[0].contains("CREATED BY") && lines[0].ends_with("COMMENT"), "{out}");
    assert!(lines[1].starts_with(&id[7..19]) && lines[1].contains("0B"), "{out}");
    assert!(lines[2].starts_with("<missing>") && lines[2].contains('…') && !out.contains('\u{1b}'), "{out}");
    assert_eq!(holm.ok(&["history", "-q", "--no-trunc", "app"]), format!("{id}\n<missing>\n"));
    let raw = holm.ok(&["image", "history", "-H=false", "--format", "{{.CreatedAt}} {{.Comment}}", "app"]);
    assert_eq!(raw, "2026-01-02T03:04:06Z x\n2026-01-02T03:04:05Z \n");
    holm.fails(&["history", "nope"], "no such image: nope");
}

#[test]
fn images_networks_and_versions_are_found_as_in_docker() {
    let holm = Holm::new();
    let (app, other) = (load(&holm, "app", 1), load(&holm, "other", 2));
    let ids = |filter: &str| holm.ok(&["images", "-aq", "--no-trunc", "-f", filter]);
    assert_eq!(ids("label=seed=1"), format!("{app}\n"));
    assert_eq!(ids("dangling=true"), "");
    // Both were made at one moment.
    assert_eq!(ids("before=app") + &ids("since=app"), "");
    assert_eq!(ids("until=1h").lines().count(), 2);
    holm.ok(&["rmi", "-f", "other"]);
    load(&holm, "app", 2);
    assert_eq!(ids("dangling=true"), format!("{app}\n"));
    assert_eq!(ids("dangling=false"), format!("{other}\n"));
    assert!(holm.ok(&["images", "--digests"]).contains("DIGEST"));
    holm.fails(&["images", "-f", "since=nothing"], "nothing");
    holm.ok(&["network", "create", "--label", "stage=test", "back"]);
    let networks = |filter: &str| {
        let names = holm.ok(&["network", "ls", "--format", "{{.Name}}", "-f", filter]);
        names.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(networks("label=stage=test"), ["back"]);
    holm.ok(&["network", "create", "-o", "com.docker.network.driver.mtu=1400", "narrow"]);
    let options = holm.ok(&["network", "inspect", "-f", "{{json .Options}}", "narrow"]);
    assert_eq!(json_of(&options)["com.docker.network.driver.mtu"], "1400");
    for (option, why) in [
        ("com.docker.network.driver.mtu=60", "invalid MTU"),
        ("com.docker.network.bridge.name=br0", "is not supported"),
    ] {
        let refused = holm.command(&["network", "create", "-o", option, "more"]).output().unwrap();
        assert!(
            !refused.status.success() && text(&refused.stderr).contains(why),
            "{}",
            text(&refused.stderr)
        );
    }
    let narrow6 = ["network", "create", "--ipv6", "-o", "com.docker.network.driver.mtu=1200", "more"];
    let refused = holm.command(&narrow6).output().unwrap();
    assert!(text(&refused.stderr).contains("at least 1280"), "{}", text(&refused.stderr));
    assert_eq!(networks("type=builtin"), ["bridge"]);
    assert_eq!(networks("name=ac"), ["back"]);
    assert_eq!(networks("driver=overlay"), [""; 0]);
    assert_eq!(
        holm.ok(&["version", "-f", "{{.Client.Version}} {{.Server.Version}} {{.Server.Arch}}"]),
        format!("{0} {0} amd64\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn what_a_container_has_of_its_own_is_taken_and_the_hosts_refused() {
    let holm = Holm::new();
    load(&holm, "app", 1);
    let own = ["--pid=private", "--ipc=private", "--uts=", "--userns=host", "--cgroupns=private"];
    let more =
        ["--platform=linux/amd64", "-q", "--group-add=7", "--oom-score-adj=-5", "--device=/dev/fuse:r"];
    holm.ok(
        &[&["create", "--name", "web", "--domainname", "example.org"], &own[..], &more, &["app"]].concat()
    );
    let fields = "{{with .HostConfig}}{{json .GroupAdd}} {{.OomScoreAdj}} {{json .Devices}}{{end}} {{.Config.Domainname}}";
    assert_eq!(
        holm.ok(&["inspect", "-f", fields, "web"]),
        "[\"7\"] -5 [{\"CgroupPermissions\":\"r\",\"PathInContainer\":\"/dev/fuse\",\"PathOnHost\":\"/dev/fuse\"}] \
         example.org\n"
    );
    for (flag, why) in [
        ("--pid=host", "nothing of the host's is in it"),
        ("--ipc=container:web", "whose namespaces nobody else can join"),
        ("--userns=keep-id", "want host"),
        ("--gpus=all", "GPUs are not supported"),
        ("--device=/dev/sda", "none of the host's devices"),
        ("--platform=linux/arm64", "linux/arm64"),
        ("--oom-score-adj=1001", "1001"),
        ("--group-add=", "invalid group"),
    ] {
        let refused = holm.command(&["create", flag, "app"]).output().unwrap();
        let said = text(&refused.stderr);
        assert!(refused.status.code() == Some(125) && said.contains(why), "{flag}: {said}");
    }
}

#[test]
fn what_is_saved_is_loaded_elsewhere() {
    let (holm, other) = (Holm::new(), Holm::new());
    let id = load(&holm, "app:v1", 1);
    holm.ok(&["tag", "app:v1", "app:v2"]);
    let file = path(&holm, "saved.tar");
    assert_eq!(holm.ok(&["save", "-o", &file, "app"]), "");
    assert_eq!(other.ok(&["load", "-i", &file]), "Loaded image: app:v1\nLoaded image: app:v2\n");
    assert_eq!(other.ok(&["images", "-q", "--no-trunc"]), format!("{id}\n{id}\n"));
    let streamed = holm.command(&["save", "app"]).output().unwrap();
    assert!(streamed.stdout == fs::read(&file).unwrap(), "{}", text(&streamed.stderr));
    holm.fails(&["save", "-o", &path(&holm, "no/such/file"), "app"], "cannot write");
    holm.fails(&["save", "nope"], "no such image: nope");
    let left = fs::read_dir(holm.directory.path()).unwrap().flatten().map(|entry| entry.file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().contains("holm-save")));
}

#[test]
fn prune_removes_what_is_not_used_and_nothing_else() {
    let holm = Holm::new();
    let (one, two, three) = (load(&holm, "one", 1), load(&holm, "two", 2), load(&holm, "two", 3));
    holm.ok(&["create", "--name", "keeper", "one"]);
    let no = holm.with_input(&["image", "prune"], "n\n");
    assert!(text(&no.stdout).starts_with("WARNING! This will remove all dangling images.\nAre you sure"));
    let out = holm.ok(&["image", "prune", "-f"]);
    assert!(out.starts_with(&format!("Deleted Images:\ndeleted: {two}\ndeleted: sha256:")), "{out}");
    assert!(out.contains("\n\nTotal reclaimed space: ") && !out.contains(" 0B"), "{out}");
    assert_eq!(
        holm.ok(&["image", "prune", "-af", "--filter", "label=seed=9"]),
        "Total reclaimed space: 0B\n"
    );
    let out = holm.ok(&["image", "prune", "-af"]);
    assert!(out.contains(&format!("untagged: two:latest\ndeleted: {three}\n")), "{out}");
    assert_eq!(holm.ok(&["images", "-q", "--no-trunc"]), format!("{one}\n"));
    let out = holm.ok(&["system", "prune", "-af", "--filter", "label!=from=image"]);
    assert_eq!(out, "Total reclaimed space: 0B\n");
    let out = holm.ok(&["system", "prune", "-af"]);
    assert!(out.contains("Deleted Containers:\n") && out.contains("untagged: one:latest\n"), "{out}");
    assert_eq!(holm.ok(&["system", "check", "--full"]), "Everything is sound.\n");
}

#[test]
fn containers_get_what_the_configuration_says_unless_they_ask() {
    let holm = Holm::new();
    load(&holm, "one", 1);
    holm.config(
        "[container]\ninit = true\nlog-opts = { max-file = '3' }\nulimits = ['core=0', 'nofile=8']\nshm-size = '1m'",
    );
    holm.ok(&["create", "--name", "plain", "one"]);
    holm.ok(&[
        "create",
        "--name",
        "own",
        "--init=false",
        "--log-opt",
        "max-file=2",
        "--ulimit",
        "nofile=9",
        "one",
    ]);
    holm.ok(&["create", "--name", "silent", "--log-driver", "none", "--shm-size", "2m", "one"]);
    let format = "{{.HostConfig.Init}} {{.HostConfig.ShmSize}} {{json .HostConfig.LogConfig.Config}} \
                  {{range .HostConfig.Ulimits}}{{.Name}}={{.Soft}} {{end}}";
    for (name, expected) in [
        ("plain", "true 1048576 {\"max-file\":\"3\"} core=0 nofile=8"),
        ("own", "false 1048576 {\"max-file\":\"2\"} nofile=9 core=0"),
        ("silent", "true 2097152 {} core=0 nofile=8"),
    ] {
        assert_eq!(holm.ok(&["inspect", "-f", format, name]).trim(), expected);
    }
    holm.config("[container]\nlog-opts = { max-files = '3' }");
    let refused = holm.command(&["create", "one"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(125));
    assert!(text(&refused.stderr).contains("unknown log opt 'max-files'"), "{refused:?}");
}

#[test]
fn the_configuration_says_which_network_containers_get() {
    let holm = Holm::new();
    load(&holm, "one", 1);
    let network = |options: &[&str]| {
        let id = holm.ok(&[&["create"], options, &["one"]].concat());
        holm.ok(&["inspect", "-f", "{{.HostConfig.NetworkMode}}", id.trim()]).trim().to_owned()
    };
    assert_eq!(network(&["-p", "80"]), "bridge");
    holm.config("[container]\nnetwork = 'none'");
    assert_eq!([network(&[]), network(&["--network", "bridge", "-p", "80"])], ["none", "bridge"]);
    for publish in [&["-p", "80"][..], &["-P"]] {
        holm.fails(&[&["create"], publish, &["one"]].concat(), "add --network bridge");
    }
    holm.fails(&["create", "--ip", "10.88.0.9", "one"], "need a network");
    assert_eq!(holm.ok(&["ps", "-aq"]).lines().count(), 3, "what is refused is not made");
}

#[test]
fn df_counts_shared_layers_once() {
    let holm = Holm::new();
    load(&holm, "one", 1);
    holm.ok(&["tag", "one", "again"]);
    holm.ok(&["create", "--name", "idle", "one"]);
    let out = holm.ok(&["system", "df"]);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("TYPE            TOTAL   ACTIVE   SIZE"), "{out}");
    assert!(lines[1].starts_with("Images          1       1"), "{out}");
    assert!(lines[2].starts_with("Containers      1       0") && lines[2].ends_with("(100%)"), "{out}");
    assert_eq!(
        holm.ok(&["system", "df", "--format", "{{.Type}}={{.TotalCount}}"]).lines().next(),
        Some("Images=1")
    );
    let details = json_of(&holm.ok(&["system", "df", "-v", "--format", "json"]));
    assert_eq!(details["Images"][0]["SharedSize"], "0B");
    assert_eq!(details["Images"][0]["Containers"], "1");
    assert_eq!(details["Containers"][0]["Names"], "idle");
    assert!(holm.ok(&["system", "df", "-v"]).contains("Containers space usage:\n\nCONTAINER ID"));
}

#[test]
fn check_tells_damage_from_leftovers() {
    let holm = Holm::new();
    load(&holm, "one", 1);
    let id = holm.ok(&["create", "--name", "web", "one"]).trim().to_owned();
    fs::create_dir(path(&holm, "root/image/layers/half")).unwrap();
    fs::create_dir(path(&holm, "root/image/staging/op-x")).unwrap();
    let check = |arguments: &[&str]| {
        let output = holm.command(&[&["system", "check"], arguments].concat()).output().unwrap();
        (output.status.code(), text(&output.stdout))
    };
    assert_eq!(check(&[]), check(&[]), "looking changes nothing");
    let (code, out) = check(&[]);
    assert!(
        code == Some(1) && out.contains("leftover  ") && out.contains("layers/half") && out.contains("op-x"),
        "{out}"
    );
    let (code, out) = check(&["--repair"]);
    assert!(
        code == Some(0) && out.contains("repaired  ") && out.ends_with("Everything is sound.\n"),
        "{out}"
    );
    let record = PathBuf::from(path(&holm, &format!("root/containers/{id}/record.json")));
    let changed = fs::read_to_string(&record).unwrap().replace("\"one\"", "\"two\"");
    fs::write(&record, changed).unwrap();
    let (code, out) = check(&["--repair"]);
    assert!(code == Some(1) && out.contains("UNSOUND") && out.contains("somebody changed it"), "{out}");
}

#[test]
fn info_speaks_docker() {
    let holm = Holm::new();
    load(&holm, "one", 1);
    holm.ok(&["create", "one"]);
    let facts = json_of(&holm.ok(&["info", "--format", "json"]));
    assert_eq!(
        (&facts["Containers"], &facts["ContainersStopped"], &facts["Images"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert!(facts["MemTotal"].as_u64() > Some(1 << 20) && facts["NCPU"].as_u64() >= Some(1));
    assert_eq!(holm.ok(&["system", "info", "-f", "{{.DefaultRuntime}}"]), "holm\n");
    assert!(holm.ok(&["info"]).starts_with("Containers: 1\n Running: 0\n"));
}

#[test]
fn labels_are_the_images_and_the_users() {
    let holm = Holm::new();
    load(&holm, "app", 1);
    let (labels, cid) = (path(&holm, "labels"), path(&holm, "cid"));
    fs::write(&labels, "# note\ncolour=red\nshape\n").unwrap();
    let id = holm.ok(&[
        "create",
        "--name",
        "web",
        "-l",
        "seed=mine",
        "--label-file",
        &labels,
        "--label",
        "colour=blue",
        "--annotation",
        "note=1",
        "--cidfile",
        &cid,
        "app",
    ]);
    assert_eq!(fs::read_to_string(&cid).unwrap(), id.trim());
    holm.ok(&["create", "--name", "other", "-l", "colour=green", "app"]);
    let found = json_of(&holm.ok(&["inspect", "web"]));
    assert_eq!(
        found[0]["Config"]["Labels"],
        json!({ "colour": "blue", "from": "image", "seed": "mine", "shape": "" })
    );
    assert_eq!(found[0]["HostConfig"]["Annotations"], json!({ "note": "1" }));
    let names = |filters: &[&str]| holm.ok(&[&["ps", "-a", "--format", "{{.Names}}"], filters].concat());
    assert_eq!(names(&["-f", "label=colour"]), "other\nweb\n");
    assert_eq!(names(&["-f", "label=colour=blue"]), "web\n");
    assert_eq!(names(&["-f", "label=colour", "-f", "label=seed=mine"]), "web\n");
    let shown = holm.ok(&["ps", "-a", "-f", "name=web", "--format", "{{.Labels}}"]);
    assert_eq!(shown, "colour=blue,from=image,seed=mine,shape=\n");
    let again = holm.command(&["create", "--cidfile", &cid, "app"]).output().unwrap();
    assert!(text(&again.stderr).contains("container ID file found"), "{}", text(&again.stderr));
    let missing = path(&holm, "cid2");
    holm.command(&["create", "--pull", "never", "--cidfile", &missing, "nope"]).output().unwrap();
    assert!(!PathBuf::from(missing).exists());
    assert_eq!(holm.command(&["create", "-l", "=x", "app"]).output().unwrap().status.code(), Some(125));
}

#[test]
fn events_are_told_while_they_happen_and_afterwards() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let holm = Holm::new();
    let mut follower = holm
        .command(&["events", "--since", "1h", "--format", "{{.Type}} {{.Action}}"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let id = load(&holm, "app", 1);
    assert_eq!(lines.next().unwrap().unwrap(), "image load");
    let container = holm.ok(&["create", "--name", "web", "-l", "tier=1", "app"]).trim().to_owned();
    assert_eq!(lines.next().unwrap().unwrap(), "container create");
    follower.kill().unwrap();
    follower.wait().unwrap();
    holm.ok(&["rename", "web", "front"]);
    holm.ok(&["tag", "app", "other"]);
    holm.ok(&["rm", "front"]);
    holm.ok(&["rmi", "app", "other"]);
    let past =
        |arguments: &[&str]| holm.ok(&[&["events", "--since", "1h", "--until", "0s"], arguments].concat());
    let all = past(&["--format", "{{.Action}} {{.Actor.ID}}"]);
    let expected: Vec<String> = [
        ("load", &id),
        ("create", &container),
        ("rename", &container),
        ("tag", &id),
        ("destroy", &container),
        ("untag", &id),
        ("untag", &id),
        ("delete", &id),
    ]
    .iter()
    .map(|(action, id)| format!("{action} {id}"))
    .collect();
    assert_eq!(all.lines().collect::<Vec<_>>(), expected);
    let renamed = past(&["-f", "container=front", "-f", "event=rename"]);
    assert!(
        renamed.ends_with(&format!(
            " container rename {container} (from=image, image=app, name=front, oldName=/web, seed=1, tier=1)\n"
        )),
        "{renamed}"
    );
    let first = past(&["--format", "json", "-f", "label=tier=1"]);
    let event = json_of(first.lines().next().unwrap());
    assert_eq!(
        (&event["Type"], &event["from"], &event["status"]),
        (&json!("container"), &json!("app"), &json!("create"))
    );
}

#[test]
fn m18_update_changes_restart_policy_and_limits_and_nothing_else() {
    let holm = Holm::new();
    load(&holm, "app", 1);
    let id = holm.ok(&["create", "--name", "web", "--restart", "always", "app"]);
    let policy = |name: &str| holm.ok(&["inspect", "-f", "{{json .HostConfig.RestartPolicy}}", name]);
    assert_eq!(holm.ok(&["update", "--restart", "on-failure:3", "web"]), "web\n");
    assert_eq!(policy("web"), "{\"MaximumRetryCount\":3,\"Name\":\"on-failure\"}\n");
    assert_eq!(holm.ok(&["inspect", "-f", "{{.Id}}", "web"]), id);
    holm.fails(&["update", "web"], "you must provide one or more flags");
    let limits =
        ["-m=1g", "--memory-swap=-1", "--memory-reservation=64m", "--cpus=1.5", "-c=512", "--pids-limit=9"];
    holm.ok(&[&["update"], &limits[..], &["web"]].concat());
    let shown = |fields: &str| holm.ok(&["inspect", "-f", fields, "web"]);
    assert_eq!(
        shown(
            "{{with .HostConfig}}{{.Memory}} {{.MemorySwap}} {{.MemoryReservation}} {{.NanoCpus}} {{.CpuShares}} {{.PidsLimit}}{{end}}"
        ),
        "1073741824 -1 67108864 1500000000 512 9\n"
    );
    assert_eq!(shown("{{.Vm.MemoryMiB}} {{.Vm.Vcpus}}"), "1280 2\n");
    holm.ok(&["update", "--pids-limit", "-1", "-m", "32m", "--memory-reservation", "16m", "web"]);
    assert_eq!(
        shown("{{.HostConfig.PidsLimit}} {{.HostConfig.Memory}} {{.HostConfig.CpuShares}}"),
        "nil 33554432 512\n"
    );
    let refused = |flags: &[&str], why: &str| {
        let output = holm.command(&[&["update"], flags, &["web"]].concat()).output().unwrap();
        assert!(!output.status.success() && text(&output.stderr).contains(why), "{}", text(&output.stderr));
    };
    refused(
        &["--memory-reservation=1g"],
        "cannot update container web: minimum memory limit can not be less than",
    );
    refused(&["--memory-swap=16m"], "minimum memory-swap limit should be larger than memory limit");
    refused(&["--cpuset-cpus=900"], "requested CPUs are not available");
    refused(&["--cpu-quota=50000"], "conflicting options: --cpus and --cpu-period or --cpu-quota");
    refused(&["-c=-1"], "invalid CPU shares (-1): value must be a positive integer");
    refused(&["--blkio-weight=10"], "--blkio-weight cannot be changed");
    assert_eq!(holm.ok(&["inspect", "-f", "{{.Id}}", "web"]), id);
    holm.ok(&["create", "--name", "brief", "--rm", "app"]);
    let refused = holm.command(&["update", "--restart", "always", "brief"]).output().unwrap();
    assert!(refused.status.code() == Some(1) && text(&refused.stderr).contains("because --rm is set"));
    assert_eq!(holm.ok(&["port", "web"]), "");
    holm.fails(&["port", "web", "80"], "no public port '80/tcp' published for web");
}

#[test]
fn healthchecks_are_the_images_and_the_users() {
    let holm = Holm::new();
    load(&holm, "app", 1);
    holm.ok(&["create", "--name", "web", "--health-cmd", "test -f /up", "--health-interval", "1m30s", "app"]);
    holm.ok(&["create", "--name", "none", "--no-healthcheck", "app"]);
    holm.ok(&["create", "--name", "silent", "app"]);
    let config = |name: &str| json_of(&holm.ok(&["inspect", name]))[0]["Config"]["Healthcheck"].clone();
    assert_eq!(
        config("web"),
        json!({ "Test": ["CMD-SHELL", "test -f /up"], "Interval": 90_000_000_000_u64 })
    );
    assert_eq!((config("none"), config("silent")), (json!({ "Test": ["NONE"] }), Value::Null));
    assert_eq!(holm.ok(&["ps", "-aq", "-f", "health=none"]).lines().count(), 3);
    holm.fails(&["create", "--no-healthcheck", "--health-retries", "2", "app"], "conflicts with --health-*");
    let bad = holm.command(&["create", "--health-timeout", "10us", "app"]).output().unwrap();
    assert!(text(&bad.stderr).contains("cannot be less than 1ms"), "{}", text(&bad.stderr));
}

#[test]
fn completion_knows_the_names() {
    let holm = Holm::new();
    load(&holm, "app:v1", 1);
    holm.ok(&["create", "--name", "idle", "app:v1"]);
    let complete = |words: &[&str]| {
        let mut command = holm.command(&[&["--", "holm"], words].concat());
        command.env("HOLM_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", words.len().to_string());
        command.env("_CLAP_IFS", "\n");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["rm", "i"]), ["idle"]);
    assert_eq!(complete(&["container", "start", ""]).first().map(String::as_str), Some("idle"));
    assert!(!complete(&["stop", ""]).contains(&"idle".to_owned()), "it does not run");
    assert_eq!(complete(&["run", "ap"]), ["app:v1"]);
    assert_eq!(complete(&["histo"]), ["history"]);
    for shell in ["bash", "zsh", "fish"] {
        assert!(holm.ok(&["completion", shell]).contains("HOLM_COMPLETE"), "{shell}");
    }
}

#[test]
fn every_verb_has_a_manual_page() {
    let holm = Holm::new();
    let directory = path(&holm, "man1");
    holm.ok(&["manual", &directory]);
    let page = |name: &str| fs::read_to_string(PathBuf::from(&directory).join(name)).unwrap();
    assert!(page("holm.1").contains("holm\\-run(1)"));
    assert!(
        page("holm-run.1").contains("\\-\\-health\\-cmd") && page("holm-image-prune.1").contains("EXTRA")
    );
    assert!(!PathBuf::from(&directory).join("holm-supervise.1").exists());
}

#[test]
fn the_oci_runtime_has_manual_pages_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_holm-runtime"));
    assert!(command.arg("manual").arg(directory.path()).status().unwrap().success());
    let page = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
    assert!(page("holm-runtime.1").contains("systemd\\-cgroup"));
    assert!(page("holm-runtime-create.1").contains("pid\\-file"));
    assert!(!directory.path().join("holm-runtime-exhaust.1").exists());
}

#[test]
fn volumes_are_made_listed_and_removed_when_nobody_has_them() {
    let holm = Holm::new();
    load(&holm, "app", 1);
    assert_eq!(holm.ok(&["volume", "create", "--label", "keep=yes", "data"]), "data\n");
    let anonymous = holm.ok(&["volume", "create"]).trim().to_owned();
    assert_eq!(anonymous.len(), 64);
    assert_eq!(holm.ok(&["volume", "ls", "-f", "label=keep"]), "DRIVER   VOLUME NAME\nlocal    data\n");
    let inspected = json_of(&holm.ok(&["volume", "inspect", "data"]));
    assert_eq!((&inspected[0]["Name"], &inspected[0]["Labels"]["keep"]), (&json!("data"), &json!("yes")));
    assert_eq!(json_of(&holm.ok(&["inspect", "--type", "volume", "data"])), inspected);
    holm.fails(&["volume", "create", "-d", "nfs", "x1"], "plugin \"nfs\" not found");
    let refused = holm.command(&["create", "-v", "/srv:data", "app"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(125));
    assert!(text(&refused.stderr).contains("mount path must be absolute"), "{}", text(&refused.stderr));

    let directory = path(&holm, "made/here");
    let bind = format!("{directory}:/srv:ro");
    holm.ok(&["create", "--name", "web", "-v", "data:/data", "-v", "/cache", "-v", &bind, "app"]);
    assert!(fs::metadata(&directory).unwrap().is_dir());
    let mounts = json_of(&holm.ok(&["inspect", "web"]))[0]["Mounts"].clone();
    assert_eq!(
        (&mounts[0]["Type"], &mounts[0]["Name"], &mounts[0]["RW"]),
        (&json!("volume"), &json!("data"), &json!(true))
    );
    assert_eq!((&mounts[2]["Source"], &mounts[2]["Mode"]), (&json!(directory), &json!("ro")));
    let before = holm.ok(&["volume", "ls", "-q"]);
    holm.fails(&["create", "--name", "web", "-v", "/again", "app"], "web");
    assert_eq!(holm.ok(&["volume", "ls", "-q"]), before, "a refused container leaves nothing");
    holm.ok(&["create", "--name", "other", "--volumes-from", "web:ro", "app"]);
    let mounts = json_of(&holm.ok(&["inspect", "other"]))[0]["Mounts"].clone();
    assert_eq!((mounts.as_array().map(Vec::len), &mounts[0]["RW"]), (Some(3), &json!(false)));

    let refused = holm.command(&["volume", "rm", "data"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("volume is in use - ["), "{}", text(&refused.stderr));
    let pruned = holm.ok(&["volume", "prune", "-f"]);
    assert!(pruned.starts_with(&format!("Deleted Volumes:\n{anonymous}\n\nTotal")), "{pruned}");
    assert_eq!(holm.ok(&["volume", "ls", "-q", "-f", "dangling=false"]).lines().count(), 2);
    assert!(holm.ok(&["system", "df"]).lines().any(|line| line.starts_with("Local Volumes   2       2")));
    holm.ok(&["system", "check"]);
    holm.ok(&["rm", "-v", "web", "other"]);
    assert_eq!(holm.ok(&["volume", "ls", "-q"]), "data\n");
    holm.ok(&["volume", "rm", "data"]);
    assert_eq!(holm.ok(&["system", "prune", "-f", "--volumes"]), "Total reclaimed space: 0B\n");
}
