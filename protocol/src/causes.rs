//! Why something failed, as one line: the form in which reasons cross boundaries.

use std::error::Error;

/// An error's message and its causes', on one line.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Failure(&'static str, #[source] Option<Box<Failure>>);

    #[test]
    fn every_cause_is_told_once() {
        let cause = Failure("the disk", Some(Box::new(Failure("no space", None))));
        assert_eq!(
            with_causes(&Failure("the container", Some(Box::new(cause)))),
            "the container: the disk: no space"
        );
        assert_eq!(with_causes(&Failure("alone", None)), "alone");
    }
}
