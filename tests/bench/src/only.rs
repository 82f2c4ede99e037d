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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_wanted_by_its_beginning() {
        assert!(Only::new("").wants("a.b") && Only::new("a").wants("a.b") && !Only::new("b").wants("a.b"));
    }
}
