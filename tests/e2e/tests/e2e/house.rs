//! Events of lives, healthchecks, and what can be changed of a container that runs.

use holm_e2e::{Holm, TestImage, until};

/// The actions of a container, one after the other.
fn actions(holm: &Holm, name: &str) -> Vec<String> {
    let filter = format!("container={name}");
    let arguments = ["events", "--since", "1h", "--until", "0s", "-f", &filter, "--format", "{{.Action}}"];
    holm.holm(arguments).outcome().ok().lines().map(str::to_owned).collect()
}

fn health(holm: &Holm, name: &str) -> String {
    holm.holm(["inspect", "-f", "{{.State.Health.Status}}", name]).outcome().out().trim().to_owned()
}

#[test]
fn m26_events_tell_a_life_from_create_to_destroy() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "exec sleep 1000");
    holm.holm(["pause", &name]).outcome().ok();
    holm.holm(["unpause", &name]).outcome().ok();
    holm.holm(["exec", &name, "true"]).outcome().ok();
    holm.holm(["kill", &name]).outcome().ok();
    holm.holm(["rm", &name]).outcome().ok();
    let expected = [
        "create",
        "start",
        "pause",
        "unpause",
        "exec_create: true",
        "exec_start: true",
        "exec_die",
        "kill",
        "die",
        "destroy",
    ];
    assert_eq!(actions(&holm, &name), expected);
}

#[test]
fn a_healthcheck_finds_out_whether_the_workload_works() {
    let holm = Holm::with(TestImage::Busybox);
    let check =
        ["--health-cmd", "echo looked; test -f /up", "--health-interval", "200ms", "--health-retries", "2"];
    let name = holm.background(&check, "exec sleep 1000");
    until("it is unhealthy", || health(&holm, &name) == "unhealthy");
    holm.holm(["exec", &name, "touch", "/up"]).outcome().ok();
    until("it is healthy", || health(&holm, &name) == "healthy");
    let filter = format!("name={name}");
    let status = ["ps", "--format", "{{.Status}}", "-f", "health=healthy", "-f", &filter];
    assert!(holm.holm(status).outcome().ok().ends_with("(healthy)"));
    let log = holm.holm(["inspect", "-f", "{{json .State.Health.Log}}", &name]).outcome().ok();
    assert!(log.contains("looked\\n"), "{log}");
    let told: Vec<_> = actions(&holm, &name).into_iter().filter(|a| a.starts_with("health_status")).collect();
    assert_eq!(told[..2], ["health_status: unhealthy", "health_status: healthy"]);
}

#[test]
fn a_healthcheck_that_hangs_is_killed() {
    let holm = Holm::with(TestImage::Busybox);
    let check = [
        "--health-cmd",
        "sleep 1000",
        "--health-interval",
        "100ms",
        "--health-timeout",
        "1s",
        "--health-retries",
        "1",
    ];
    let name = holm.background(&check, "exec sleep 2000");
    until("it is unhealthy", || health(&holm, &name) == "unhealthy");
    let log = holm.holm(["inspect", "-f", "{{json .State.Health.Log}}", &name]).outcome().ok();
    assert!(log.contains("Health check exceeded timeout (1s)"), "{log}");
}

#[test]
fn m18_update_makes_a_running_container_restart() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "while ! test -f /go; do sleep 0.1; done; rm /go; exit 3");
    assert_eq!(holm.holm(["update", "--restart", "on-failure:1", &name]).outcome().ok(), name);
    holm.holm(["exec", &name, "touch", "/go"]).outcome().ok();
    until("it was started again", || actions(&holm, &name).iter().filter(|a| *a == "start").count() == 2);
    holm.holm(["rm", "-f", &name]).outcome().ok();
}
