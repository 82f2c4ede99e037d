//! Environment variables of a process.

use std::ffi::CString;

use crate::fault::Fault;

/// Checks variables: `NAME=value`, no NUL byte. Of a repeated name the last one counts, as in runc.
pub(crate) fn check(env: &[String]) -> Result<Vec<CString>, Fault> {
    let mut checked: Vec<(&str, CString)> = Vec::with_capacity(env.len());
    for variable in env {
        let (Some((name, _)), Ok(text)) = (variable.split_once('='), CString::new(variable.as_str())) else {
            return Err(Fault::invalid(format!("environment variable {variable:?} is malformed")));
        };
        if name.is_empty() {
            return Err(Fault::invalid(format!("environment variable {variable:?} has no name")));
        }
        checked.retain(|(known, _)| *known != name);
        checked.push((name, text));
    }
    Ok(checked.into_iter().map(|(_, text)| text).collect())
}

/// Adds HOME when it is missing or empty.
pub(crate) fn add_home(env: &mut Vec<CString>, home: &str) {
    env.retain(|variable| variable.as_bytes() != b"HOME=");
    let known = env.iter().any(|variable| variable.as_bytes().starts_with(b"HOME="));
    if let (false, Ok(variable)) = (known, CString::new(format!("HOME={home}"))) {
        env.push(variable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(env: &[&str]) -> Result<Vec<CString>, Fault> {
        check(&env.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_of_a_name_wins() {
        assert_eq!(checked(&["A=1", "B==x", "A=2"]).unwrap(), [c"B==x".to_owned(), c"A=2".to_owned()]);
        for malformed in ["A", "=1", "A=\0"] {
            assert!(checked(&[malformed]).is_err(), "{malformed:?}");
        }
    }

    #[test]
    fn home_is_added_only_when_missing() {
        let mut env = checked(&["HOMER=1"]).unwrap();
        add_home(&mut env, "/root");
        assert_eq!(env, [c"HOMER=1".to_owned(), c"HOME=/root".to_owned()]);
        add_home(&mut env, "/else");
        assert_eq!(env.len(), 2);
        let mut empty = checked(&["HOME="]).unwrap();
        add_home(&mut empty, "/x");
        assert_eq!(empty, [c"HOME=/x".to_owned()]);
    }
}
