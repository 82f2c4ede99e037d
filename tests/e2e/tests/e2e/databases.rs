//! Programs that keep data, on volumes: what they said to be committed is there after the VM was killed (M33, M35).

use std::process::Command;

use holm_e2e::{Holm, TestImage, until};

/// A volume of the test's own; removed with it.
struct Volume<'a>(&'a Holm, String);

impl<'a> Volume<'a> {
    #[track_caller]
    fn create(holm: &'a Holm, options: &[&str]) -> Self {
        let name = holm.name();
        holm.holm(["volume", "create"]).args(options).args([&name]).outcome().ok();
        Self(holm, name)
    }

    #[track_caller]
    fn run(&self, user: &str, directory: &str, script: &str) -> String {
        let mount = format!("{}:{directory}", self.1);
        self.0.run(["-u", user, "-v", &mount, "databases", "sh", "-c", script]).ok()
    }

    /// Runs a writer that prints the number of each row that it has committed, kills its VM when there are so many, and gives
    /// the last that it printed.
    #[track_caller]
    fn killed_while_writing(&self, user: &str, directory: &str, script: &str, rows: u64) -> u64 {
        let (holm, name) = (self.0, self.0.name());
        let mount = format!("{}:{directory}", self.1);
        let words = ["run", "-d", "--name", &name, "-u", user, "-v", &mount, "databases", "sh", "-c", script];
        holm.holm(words).outcome().ok();
        let committed = || -> u64 {
            let logs = holm.holm(["logs", &name]).outcome();
            logs.out().lines().rev().find_map(|line| line.parse().ok()).unwrap_or(0)
        };
        until("rows are committed", || {
            let state = holm.holm(["inspect", "-f", "{{.State.Status}}", &name]).outcome().ok();
            assert_eq!(state, "running", "{:?}", holm.holm(["logs", &name]).outcome());
            committed() >= rows
        });
        let pid = holm.holm(["inspect", "-f", "{{.State.Pid}}", &name]).outcome().ok();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        holm.holm(["wait", &name]).outcome().ok();
        let last = committed();
        holm.holm(["rm", &name]).outcome().ok();
        last
    }
}

impl Drop for Volume<'_> {
    fn drop(&mut self) {
        let _ = self.0.holm(["volume", "rm", "-f", &self.1]).outcome();
    }
}

const SQLITE: &str = "
import itertools, sqlite3
base = sqlite3.connect('/data/base', isolation_level=None)
base.execute('pragma journal_mode = wal')
base.execute('pragma synchronous = full')
base.execute('create table if not exists rows (number integer primary key, content blob)')
for number in itertools.count(1):
    base.execute('insert into rows values (?, randomblob(700))', [number])
    print(number, flush=True)
";

const SQLITE_CHECK: &str = "
import sqlite3
base = sqlite3.connect('/data/base')
print(*base.execute('pragma integrity_check').fetchone())
print(*base.execute('select count(*), max(number), sum(length(content)) / 700 from rows').fetchone())
";

#[track_caller]
fn sqlite(options: &[&str]) {
    let holm = Holm::with(TestImage::Databases);
    let volume = Volume::create(&holm, options);
    let last = volume.killed_while_writing("root", "/data", &format!("exec python3 -c \"{SQLITE}\""), 50);
    let found = volume.run("root", "/data", &format!("ls /data; python3 -c \"{SQLITE_CHECK}\""));
    let lines: Vec<_> = found.lines().collect();
    assert_eq!(lines[..4], ["base", "base-shm", "base-wal", "ok"], "its log was in use: {found}");
    let numbers: Vec<u64> = lines[4].split(' ').map(|number| number.parse().unwrap()).collect();
    assert!(numbers.iter().all(|number| (last..=last + 1).contains(number)), "{last} committed: {found}");
}

#[test]
fn m35_sqlite_loses_no_committed_row_on_a_volume() {
    sqlite(&[]);
}

#[test]
fn m35_sqlite_loses_no_committed_row_on_a_block_volume() {
    sqlite(&["-d", "block", "-o", "size=128m"]);
}

/// Starts PostgreSQL on the image's cluster and waits for it.
const POSTGRESQL: &str = "
bin=/usr/lib/postgresql/15/bin data=/var/lib/postgresql/15/main
start() {
    $bin/postgres -D $data -c config_file=/etc/postgresql/15/main/postgresql.conf -c ssl=off -c jit=off \
        -c shared_buffers=16MB -c unix_socket_directories=/tmp -c listen_addresses= &
    until $bin/pg_isready -q -h /tmp; do kill -0 $! || exit 1; sleep 1; done
}
sql() { $bin/psql -h /tmp -qAt -v ON_ERROR_STOP=1 \"$@\" postgres; }
start
";

/// Not on a share as well: to fill one with a thousand files and to recover there takes minutes on an emulated host.
#[test]
fn m35_postgresql_loses_no_committed_row_on_a_block_volume() {
    let holm = Holm::with(TestImage::Databases);
    let volume = Volume::create(&holm, &["-d", "block", "-o", "size=256m"]);
    let data = "/var/lib/postgresql/15/main";
    let script = |then: &str| format!("{POSTGRESQL}{then}");
    // One session, and a transaction for each row.
    let write = "sql -c \"create table rows (number int primary key, content text)\"
        seq 100000 | sed \"s/.*/insert into rows values (&, repeat(md5(random()::text), 30)) returning number;/\" | sql";
    let last = volume.killed_while_writing("postgres", data, &script(write), 50);
    let check = "sql -c \"select count(*), max(number), sum(length(content)) / 960 from rows\"
        sql -c \"reindex table rows\" -c \"select count(*) from rows where number > 0\"; $bin/pg_ctl -D $data -m fast stop >&2";
    let found = volume.run("postgres", data, &script(check));
    let numbers: Vec<u64> = found.split(['|', '\n']).map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 4, "{found}");
    assert!(numbers.iter().all(|number| (last..=last + 1).contains(number)), "{last} committed: {found}");
}

#[test]
fn m33_git_works_on_a_volume() {
    let holm = Holm::with(TestImage::Databases);
    let volume = Volume::create(&holm, &[]);
    let script = "set -e; cd /data; export HOME=/tmp; git config --global user.email a@b; git config --global user.name a
        git init -q /tmp/one; cd /tmp/one
        for round in 1 2; do
            for n in $(seq 8); do mkdir -p d$((n % 5)); echo $n $round >>d$((n % 5))/$n; done
            rm -f d$round/$round; ln -sf $round link; git add -A; git commit -q -m $round
        done
        git clone -q --no-local /tmp/one /data/two; cd /data/two; git checkout -q -b side HEAD~1
        echo side >side; git add side; git commit -q -m side; git push -q origin side
        git fsck --full --strict; git status --porcelain
        git -C /tmp/one log --oneline side | wc -l; find . -path ./.git -prune -o -type f -print | wc -l";
    assert_eq!(volume.run("root", "/data", script), "2\n8");
}
