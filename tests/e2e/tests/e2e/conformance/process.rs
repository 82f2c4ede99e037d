//! config.md, "Process".

use serde_json::json;

use super::{Case, case, compare, mounts};

/// Of an ordinary user.
const USER: &[Case] = &[
    case("process.args", "printf '<%s>' \"$0\" \"$@\"", "<cases><a b><><$x>"),
    case("process.cwd", "pwd", "/var/empty/made"),
    case("process.cwd: made when missing", "stat -c '%F %u:%g' .", "directory 0:0"),
    case(
        "process.env",
        "tr '\\0' '\\n' </proc/$$/environ | grep -v ^PATH= | sort",
        "EMPTY= HOME=/h SPACE=a b TWICE=2",
    ),
    case("process.user.uid", "awk '/^Uid/ {print $2, $3, $4, $5}' /proc/$$/status", "1000 1000 1000 1000"),
    case("process.user.gid", "awk '/^Gid/ {print $2, $3, $4, $5}' /proc/$$/status", "1001 1001 1001 1001"),
    case("process.user.additionalGids", "sed -n 's/^Groups://p' /proc/$$/status", "5 77"),
    case("process.user.umask", "umask", "0027"),
    case("process.noNewPrivileges", "sed -n s/^NoNewPrivs://p /proc/$$/status", "1"),
    case("process.oomScoreAdj", "cat /proc/$$/oom_score_adj", "100"),
    case(
        "process.capabilities",
        "sed -n 's/^Cap\\(...\\):\\t/\\1 /p' /proc/$$/status",
        // After execve(2) of an ordinary user, what is ambient is all that is permitted.
        "Inh 0000000000000401 Prm 0000000000000400 Eff 0000000000000400 Bnd 0000000000000421 Amb 0000000000000400",
    ),
    case("process.rlimits: RLIMIT_NOFILE", "ulimit -Sn; ulimit -Hn", "500 600"),
    case("process.rlimits: RLIMIT_CORE", "ulimit -Sc; ulimit -Hc", "0 0"),
    case(
        "process.rlimits: RLIMIT_MSGQUEUE",
        "awk '/^Max msgqueue/ {print $4, $5}' /proc/$$/limits",
        "1000 unlimited",
    ),
    case("process: no terminal without process.terminal", "(: </dev/tty) 2>/dev/null || echo none", "none"),
    case("process: it is the first one", "echo $$", "1"),
    case("process: it leads a session", "awk '{print $6}' /proc/$$/stat", "1"),
    // The last one is the directory.
    case("process: no open files of others", "ls /proc/self/fd", "0 1 2 3"),
];

#[test]
fn conformance_of_a_process_of_a_user() {
    compare(
        USER,
        |_, config| {
            mounts(config, &[]);
            let process = &mut config["process"];
            process["cwd"] = json!("/var/empty/made");
            process["env"] =
                json!(["PATH=/bin:/usr/bin", "TWICE=1", "EMPTY=", "SPACE=a b", "HOME=/h", "TWICE=2"]);
            process["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 77], "umask": 0o27});
            process["noNewPrivileges"] = json!(true);
            process["oomScoreAdj"] = json!(100);
            process["capabilities"] = json!({
                "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
                "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
                "effective": ["CAP_CHOWN", "CAP_KILL"],
                "inheritable": ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"],
                "ambient": ["CAP_NET_BIND_SERVICE"],
            });
            process["rlimits"] = json!([
                {"type": "RLIMIT_NOFILE", "soft": 500, "hard": 600},
                {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
                {"type": "RLIMIT_MSGQUEUE", "soft": 1000, "hard": u64::MAX},
            ]);
        },
        |_| (),
    );
}
