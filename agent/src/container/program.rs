//! Finding the program to execute, with the errors that Docker's users know (Go's os/exec.LookPath, as runc uses it).

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::fault::{Fault, FaultKind};

/// Resolves `name` by the `PATH` of `env`, in the calling process's root and working directory and as its user.
///
/// # Errors
/// NOT_FOUND or PERMISSION_DENIED.
pub(crate) fn find(name: &str, env: &[CString]) -> Result<PathBuf, Fault> {
    if name.contains('/') {
        return match check(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(Errno::ENOENT) => {
                Err(Fault::not_found(format!("exec: {name:?}: stat {name}: no such file or directory")))
            }
            Err(error) => Err(refused(format!("exec: {name:?}"), error)),
        };
    }
    let path = env.iter().find_map(|variable| variable.as_bytes().strip_prefix(b"PATH="));
    for directory in path.unwrap_or_default().split(|b| *b == b':') {
        // An empty element is the working directory.
        let directory = if directory.is_empty() { b"." } else { directory };
        let candidate = Path::new(std::ffi::OsStr::from_bytes(directory)).join(name);
        if !name.is_empty() && check(&candidate).is_ok() {
            return Ok(candidate);
        }
    }
    Err(Fault::not_found(format!("exec: {name:?}: executable file not found in $PATH")))
}

/// The fault for a failed execve.
pub(crate) fn exec_failed(program: &Path, error: Errno) -> Fault {
    refused(format!("exec {}", program.display()), error)
}

/// By Docker's exit codes: 127 for what is not there (also a script's interpreter), 126 for what cannot be executed.
fn refused(what: String, error: Errno) -> Fault {
    let kind = match error {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG => FaultKind::NotFound,
        _ => FaultKind::PermissionDenied,
    };
    Fault::new(kind, format!("{what}: {}", error.desc().to_lowercase()))
}

fn check(path: &Path) -> nix::Result<()> {
    let status = nix::sys::stat::stat(path)?;
    if status.st_mode & libc::S_IFMT == libc::S_IFDIR {
        return Err(Errno::EISDIR);
    }
    access(path, AccessFlags::X_OK)?;
    // To root everything is accessible, but what nobody may execute is no program.
    if status.st_mode & 0o111 == 0 { Err(Errno::EACCES) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// bin1/ has a plain file `tool` and a directory `dir`, bin2/ an executable `tool`.
    fn tree() -> (tempfile::TempDir, Vec<CString>) {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (root.path().join("bin1"), root.path().join("bin2"));
        fs::create_dir_all(one.join("dir")).unwrap();
        fs::create_dir(&two).unwrap();
        fs::write(one.join("tool"), "").unwrap();
        fs::set_permissions(one.join("tool"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(two.join("tool"), "").unwrap();
        fs::set_permissions(two.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("PATH={}:/nowhere:{}", one.display(), two.display());
        (root, vec![CString::new("A=b").unwrap(), CString::new(path).unwrap()])
    }

    fn fault(name: &str, env: &[CString]) -> (FaultKind, String) {
        let fault = find(name, env).unwrap_err();
        (fault.kind, fault.message)
    }

    #[test]
    fn the_first_executable_in_the_path_is_found() {
        let (root, env) = tree();
        assert_eq!(find("tool", &env).unwrap(), root.path().join("bin2/tool"));
        let explicit = root.path().join("bin2/tool");
        assert_eq!(find(explicit.to_str().unwrap(), &[]).unwrap(), explicit);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let (_root, env) = tree();
        let expected = |name: &str| {
            (FaultKind::NotFound, format!("exec: \"{name}\": executable file not found in $PATH"))
        };
        assert_eq!(fault("foo", &env), expected("foo"));
        assert_eq!(fault("dir", &env), expected("dir"));
        assert_eq!(fault("tool", &[]), expected("tool"));
        assert_eq!(fault("", &env), expected(""));
        assert_eq!(
            fault("/x", &env),
            (FaultKind::NotFound, "exec: \"/x\": stat /x: no such file or directory".into())
        );
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let (root, env) = tree();
        let plain = root.path().join("bin1/tool");
        let (kind, message) = fault(plain.to_str().unwrap(), &env);
        assert_eq!(kind, FaultKind::PermissionDenied);
        assert_eq!(message, format!("exec: \"{}\": permission denied", plain.display()));
        let (kind, message) = fault("/etc", &env);
        assert_eq!((kind, message.as_str()), (FaultKind::PermissionDenied, "exec: \"/etc\": is a directory"));
    }

    #[test]
    fn a_failed_execve_has_its_own_words() {
        let fault = exec_failed(Path::new("/run.sh"), Errno::ENOENT);
        assert_eq!(
            (fault.kind, fault.message.as_str()),
            (FaultKind::NotFound, "exec /run.sh: no such file or directory")
        );
        let fault = exec_failed(Path::new("/run.sh"), Errno::ENOEXEC);
        assert_eq!(
            (fault.kind, fault.message.as_str()),
            (FaultKind::PermissionDenied, "exec /run.sh: exec format error")
        );
    }
}
