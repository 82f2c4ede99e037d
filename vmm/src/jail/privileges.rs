//! The user and the capabilities (capabilities(7)).

use caps::{CapSet, Capability, CapsHashSet};
use holm_protocol::vm_config::JailConfig;
use nix::sys::prctl::set_no_new_privs;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::JailError;

/// What making files for the guest's users takes (`devices::virtio::fs::thread`). Nothing of it reaches beyond the directories
/// that Landlock leaves: `CAP_MKNOD` would, which is for devices alone.
const FOR_SHARES: [Capability; 8] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETGID,
    // Its own thread's securebits.
    Capability::CAP_SETPCAP,
    Capability::CAP_SETUID,
];

/// Becomes the configured user, and drops every capability, for good, but those that serving shares takes.
///
/// For good without a word to the bounding set, which limits what a program brings that is executed: this process may gain
/// nothing by one (`PR_SET_NO_NEW_PRIVS`), and executes none.
pub(super) fn drop_all_but(config: &JailConfig, has_shares: bool) -> Result<(), JailError> {
    set_no_new_privs().map_err(JailError::Privileges)?;
    let kept: CapsHashSet = if has_shares { FOR_SHARES.into_iter().collect() } else { CapsHashSet::new() };
    if let Some(user) = config.user {
        let failed = |source| JailError::User { user, source };
        let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
        setgroups(&[]).map_err(failed)?;
        setresgid(gid, gid, gid).map_err(failed)?;
        setresuid(uid, uid, uid).map_err(failed)?;
    }
    let left = caps::read(None, CapSet::Permitted).map_err(JailError::Capabilities)?;
    let left: CapsHashSet = left.intersection(&kept).copied().collect();
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &left).map_err(JailError::Capabilities)?;
    }
    caps::clear(None, CapSet::Inheritable).map_err(JailError::Capabilities)
}
