//! Events: what happened to containers, and what changes one that runs.

use holm_e2e::{Holm, TestImage, until};

/// The actions of a container, one after the other.
pub(crate) fn actions(holm: &Holm, name: &str) -> Vec<String> {
    let filter = format!("container={name}");
    let arguments = ["events", "--since", "1h", "--until", "0s", "-f", &filter, "--format", "{{.Action}}"];
    holm.holm(arguments).outcome().ok().lines().map(str::to_owned).collect()
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
fn m18_update_makes_a_running_container_restart() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&[], "while ! test -f /go; do sleep 0.1; done; rm /go; exit 3");
    assert_eq!(holm.holm(["update", "--restart", "on-failure:1", &name]).outcome().ok(), name);
    holm.holm(["exec", &name, "touch", "/go"]).outcome().ok();
    until("it was started again", || actions(&holm, &name).iter().filter(|a| *a == "start").count() == 2);
    holm.holm(["rm", "-f", &name]).outcome().ok();
}
