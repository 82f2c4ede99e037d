//! All points. A unit test compares them with the sources.

/// What can happen at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process's end.
    Crash,
    /// That, or an error.
    Error,
}

/// A point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// What it is called: what is being done, and how far it came.
    pub name: &'static str,
    /// What can happen.
    pub kind: Kind,
}

const fn crash(name: &'static str) -> Point {
    Point { name, kind: Kind::Crash }
}

const fn error(name: &'static str) -> Point {
    Point { name, kind: Kind::Error }
}

/// All of them.
pub const POINTS: &[Point] = &[
    error("durable.write.create"),
    error("durable.write.fill"),
    error("durable.write.sync"),
    error("durable.write.rename"),
    error("durable.write.sync-directory"),
    error("durable.place.create"),
    error("durable.place.fill"),
    error("durable.place.sync"),
    error("durable.rewrite.fill"),
    error("durable.rewrite.sync"),
    error("durable.rewrite.exchange"),
    error("durable.rewrite.spare"),
    error("durable.rewrite.sync-directory"),
    error("durable.remove"),
    crash("image.commit.adopted"),
    crash("image.commit.layer"),
    error("image.layer.data"),
    error("image.layer.tree"),
    crash("image.layer.written"),
    error("image.layer.create"),
    crash("image.layer.converted"),
    error("image.layer.sync"),
    crash("image.pull.found"),
    crash("image.pull.planned"),
    error("image.merge.create"),
    error("image.merge.disk"),
    error("image.merge.metadata"),
    error("image.merge.sync"),
    error("image.catalog.write"),
    crash("image.tag.written"),
    crash("image.merge.publish"),
    crash("image.commit.locked"),
    crash("image.commit.published"),
    crash("image.commit.named"),
    crash("image.untag.written"),
    crash("image.remove.unnamed"),
    crash("image.collect.unnamed"),
    error("image.sweep.remove"),
    crash("image.sweep.removed"),
    error("image.staging.create"),
    crash("image.staging.created"),
    crash("image.staging.locked"),
    error("image.staging.directory"),
    error("image.adopt.create"),
    crash("image.adopt.linked"),
    error("image.blob.write"),
    crash("image.publish.begin"),
    error("image.publish.move"),
    crash("image.publish.moved"),
    error("image.publish.sync"),
    error("image.staging.remove"),
    error("image.staging.clear"),
    error("storage.blank.create"),
    error("storage.blank.make"),
    error("storage.blank.rename"),
    error("storage.copy.begin"),
    error("storage.copy.length"),
    error("storage.layer.copy"),
    error("container.lock.open"),
    error("container.create.directory"),
    crash("container.create.marked"),
    crash("container.create.unlocked"),
    error("container.create.record"),
    crash("container.create.recorded"),
    crash("container.create.named"),
    error("container.create.rename"),
    error("container.create.sync"),
    crash("container.create.made"),
    crash("container.rename.taken"),
    crash("container.rename.written"),
    crash("container.state.lost"),
    error("container.state.write"),
    error("container.names.lock"),
    error("container.name.take"),
    error("container.name.sync"),
    error("container.name.give-back"),
    error("container.remove.run-directory"),
    error("container.remove.rename"),
    error("container.remove.sync"),
    crash("container.remove.renamed"),
    crash("container.remove.emptied"),
    error("container.remove.rest"),
    crash("container.remove.removed"),
    error("container.sweep.remove"),
    error("container.remove.file"),
    error("container.mark.create"),
    error("container.mark.begin-removal"),
    error("container.mark.clear"),
    error("volume.fill.sync"),
    error("volume.fill.note"),
    error("volume.lock"),
    error("volume.leftover.remove"),
    error("volume.create.directory"),
    error("volume.create.data"),
    error("volume.create.filling"),
    error("volume.create.record"),
    error("volume.create.rename"),
    crash("volume.create.made"),
    error("volume.remove.rename"),
    crash("volume.remove.renamed"),
    error("volume.remove.data"),
    crash("network.attach.ports-taken"),
    crash("network.attach.joined"),
    crash("network.endpoint.written"),
    crash("network.leave"),
    error("network.rules.apply"),
    crash("network.rules.applied"),
    error("network.endpoint.write"),
    error("network.endpoint.rename"),
    error("network.endpoint.remove"),
    error("network.bridge.make"),
    error("network.bridge.configure"),
    error("network.bridge.up"),
    error("network.bridge.remove"),
    error("network.tap.make"),
    error("network.tap.configure"),
    error("network.tap.join"),
    error("network.tap.up"),
    crash("network.remove.bridge-gone"),
    error("network.record.remove"),
    crash("network.bridge.made"),
    error("network.record.write"),
    error("network.lock"),
    error("client.run-directory.clear"),
    error("client.socket.bind"),
    crash("client.connected"),
    error("client.supervisor.spawn"),
    crash("client.supervisor.spawned"),
    error("sandbox.vmm.spawn"),
    crash("sandbox.vmm.spawned"),
    error("sandbox.config"),
    error("template.checked.write"),
    error("template.written.write"),
    error("template.begin"),
    crash("template.begun"),
    error("template.about.write"),
    error("template.rename"),
    crash("template.renamed"),
    error("checkpoint.begin"),
    crash("checkpoint.begun"),
    error("checkpoint.remove"),
    error("checkpoint.layer.copy"),
    error("checkpoint.about.write"),
    error("checkpoint.files.sync"),
    error("checkpoint.directory.sync"),
    error("checkpoint.rename"),
    crash("checkpoint.renamed"),
    error("fork.layer.move"),
    error("resume.layer.copy"),
    crash("checkpoint.freeze"),
    crash("checkpoint.saved"),
    crash("checkpoint.went-on"),
    crash("checkpoint.finished"),
    crash("supervisor.files.agent-called"),
    crash("supervisor.files.mounted"),
    crash("supervisor.files.ending"),
    crash("supervisor.files.ended"),
    crash("supervisor.log-opened"),
    crash("supervisor.shares-found"),
    crash("supervisor.networks-attached"),
    crash("supervisor.vm-booted"),
    crash("supervisor.agent-called"),
    crash("supervisor.networks-connected"),
    crash("supervisor.container-created"),
    crash("supervisor.volumes-filled"),
    crash("supervisor.process-started"),
    crash("supervisor.boot"),
    crash("supervisor.started.unwritten"),
    crash("supervisor.started.written"),
    crash("supervisor.workload-ended"),
    crash("supervisor.stop.asked"),
    crash("resume.layer.restored"),
    crash("resume.agent-called"),
    crash("resume.layer.kept"),
    error("resume.layer.rename"),
    crash("supervisor.begin"),
    crash("supervisor.end.shut-down"),
    crash("supervisor.end.vm-ended"),
    crash("supervisor.end.settled"),
    crash("supervisor.end.told"),
    crash("supervisor.end.networks-released"),
    crash("supervisor.settle.removed"),
    crash("supervisor.settle.written"),
    error("supervisor.settle.run-directory"),
    crash("template.saved"),
    error("oci.create.sockets"),
    error("oci.create.bind"),
    error("oci.create.spawn"),
    crash("oci.create.spawned"),
    error("oci.add.directory"),
    error("oci.add.record"),
    error("oci.add.rename"),
    crash("oci.add.renamed"),
    error("oci.record.write"),
    error("oci.remove.sockets"),
    error("oci.remove.rename"),
    crash("oci.remove.renamed"),
    error("vmm.boot.memory"),
    error("vmm.boot.loaded"),
    error("vmm.boot.vcpus"),
    crash("vmm.configured"),
    error("vmm.kvm.open"),
    error("vmm.devices.open"),
    error("vmm.jail.enter"),
    crash("vmm.jail.entered"),
    error("vmm.devices.plugged"),
    crash("vmm.vcpus.started"),
    crash("vmm.serving"),
    error("vmm.restore.state"),
    error("vmm.restore.memory"),
    error("vmm.restore.verified"),
    error("vmm.restore.vcpus"),
    crash("vmm.restored"),
    crash("vmm.save.stopped"),
    crash("vmm.save.written"),
    crash("vmm.go-on"),
    error("vmm.save.memory"),
    error("vmm.save.state"),
    crash("vmm.begin"),
    crash("shim.cleanup.removed"),
    crash("shim.cleanup.unmounted"),
    crash("shim.exec.started"),
    crash("shim.rootfs.mounted"),
    error("shim.rootfs.mount"),
    crash("shim.rootfs.unmount"),
    crash("shim.serve.begin"),
    crash("shim.serve.ended"),
    error("shim.start.address"),
    error("shim.start.bind"),
    crash("shim.start.bound"),
    error("shim.start.spawn"),
    crash("shim.start.spawned"),
    crash("shim.create.streams-opened"),
    crash("shim.create.made"),
    crash("shim.create.told"),
    crash("shim.start.started"),
    crash("shim.delete.begin"),
    crash("shim.delete.removed"),
];

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// How often each point is in the sources below a directory.
    fn uses_in(directory: &Path, uses: &mut BTreeMap<String, usize>) {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                uses_in(&path, uses);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                for word in ["crash!(", "fault!("] {
                    for after in source.split(&format!("holm_faults::{word}")).skip(1) {
                        let name = after.trim_start().trim_start_matches('"').split('"').next().unwrap();
                        *uses.entry(name.to_owned()).or_default() += 1;
                    }
                }
            }
        }
    }

    #[test]
    fn every_point_is_in_the_sources_once() {
        let mut uses = BTreeMap::new();
        for program in ["runtime", "cli", "shim", "vmm"] {
            uses_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(program).join("src"), &mut uses);
        }
        let expected: BTreeMap<String, usize> =
            POINTS.iter().map(|point| (point.name.to_owned(), 1)).collect();
        assert_eq!(uses, expected);
        assert_eq!(expected.len(), POINTS.len());
        assert!(POINTS.len() >= 120);
    }
}
