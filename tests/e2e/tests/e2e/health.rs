//! Healthchecks.

use holm_e2e::{Holm, TestImage, until};

use super::events::actions;

fn health(holm: &Holm, name: &str) -> String {
    holm.holm(["inspect", "-f", "{{.State.Health.Status}}", name]).outcome().out().trim().to_owned()
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
