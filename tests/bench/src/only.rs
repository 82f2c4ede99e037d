//! Which figures are asked for.

/// Those whose name begins so.
#[derive(Clone, Debug)]
pub(crate) struct Only(String);

impl Only {
    /// All of them, with an empty prefix.
    pub(crate) fn new(prefix: &str) -> Self {
        Self(prefix.to_owned())
    }

    /// Whether a figure is to be measured; says so.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let is_wanted = name.starts_with(&self.0);
        if is_wanted {
            eprintln!("measuring {name}");
        }
        is_wanted
    }

    /// The same for one that takes minutes: it has to be asked for.
    pub(crate) fn asks_for(&self, name: &str) -> bool {
        !self.0.is_empty() && self.wants(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ones_come_only_when_they_are_asked_for() {
        assert!(Only::new("").wants("a.b") && !Only::new("").asks_for("a.b"));
        assert!(Only::new("a").wants("a.b") && Only::new("a").asks_for("a.b"));
        assert!(!Only::new("b").wants("a.b") && !Only::new("b").asks_for("a.b"));
    }
}
