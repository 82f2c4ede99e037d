//! How several `--filter`s go together.

use std::mem::discriminant;

/// Whether something passes: filters of one kind widen, those of different kinds narrow, as in Docker. `narrows` tells those
/// that narrow always, as labels do.
pub(crate) fn pass<F>(filters: &[F], narrows: impl Fn(&F) -> bool, passes: impl Fn(&F) -> bool) -> bool {
    filters.iter().all(|wanted| {
        if narrows(wanted) {
            return passes(wanted);
        }
        let same = |other: &&F| discriminant(*other) == discriminant(wanted);
        filters.iter().filter(same).any(&passes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_widen_and_narrow() {
        enum Is {
            Below(u32),
            Even,
        }
        let passes = |filters: &[Is], narrows: bool, number: u32| {
            pass(
                filters,
                |_| narrows,
                |filter| match filter {
                    Is::Below(limit) => number < *limit,
                    Is::Even => number.is_multiple_of(2),
                },
            )
        };
        assert!(passes(&[Is::Below(3), Is::Below(9)], false, 5));
        assert!(!passes(&[Is::Below(3), Is::Below(9)], true, 5));
        assert!(!passes(&[Is::Below(9), Is::Even], false, 5));
        assert!(passes(&[], false, 5));
    }
}
