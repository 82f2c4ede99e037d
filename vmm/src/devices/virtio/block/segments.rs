//! Which bytes of which segment are a range of the disk.

/// Where segments start on the disk, and where the last one ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// `starts[i]..starts[i + 1]` is segment `i`; none is empty.
    starts: Vec<u64>,
}

/// A part of a range that lies in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Index of the segment.
    pub(super) segment: usize,
    /// First byte, counted from the segment's start.
    pub(super) offset_bytes: u64,
    /// How many bytes.
    pub(super) length_bytes: u64,
}

impl Layout {
    /// Segments of these lengths, end to end; `None` if one is empty or the sum overflows.
    pub(super) fn new(lengths: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut starts = vec![0_u64];
        for length in lengths {
            let end = starts.last()?.checked_add(length).filter(|_| length > 0)?;
            starts.push(end);
        }
        Some(Self { starts })
    }

    /// Length of the disk.
    pub(super) fn length_bytes(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The runs of a range in order. What lies beyond the end of the disk is left out.
    pub(super) fn runs(&self, offset_bytes: u64, length_bytes: u64) -> impl Iterator<Item = Run> + '_ {
        let end = offset_bytes.saturating_add(length_bytes);
        // The last segment that starts at or before the offset.
        let first = self.starts.partition_point(|&start| start <= offset_bytes).saturating_sub(1);
        self.starts.windows(2).enumerate().skip(first).map_while(move |(segment, bounds)| {
            let &[start, stop] = bounds else { return None };
            let (from, to) = (start.max(offset_bytes), stop.min(end));
            (from < to).then(|| Run { segment, offset_bytes: from - start, length_bytes: to - from })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runs(lengths: &[u64], offset: u64, length: u64) -> Vec<(usize, u64, u64)> {
        let layout = Layout::new(lengths.iter().copied()).unwrap();
        layout.runs(offset, length).map(|r| (r.segment, r.offset_bytes, r.length_bytes)).collect()
    }

    #[test]
    fn a_range_is_cut_at_segment_ends() {
        assert_eq!(runs(&[512, 1024, 512], 0, 512), [(0, 0, 512)]);
        assert_eq!(runs(&[512, 1024, 512], 512, 512), [(1, 0, 512)]);
        assert_eq!(runs(&[512, 1024, 512], 256, 1536), [(0, 256, 256), (1, 0, 1024), (2, 0, 256)]);
        assert_eq!(runs(&[512], 512, 512), []);
        assert_eq!(runs(&[512], 0, 0), []);
        assert_eq!(runs(&[512], u64::MAX, u64::MAX), []);
    }

    #[test]
    fn impossible_layouts_are_refused() {
        assert_eq!(Layout::new([512, 0]), None);
        assert_eq!(Layout::new([u64::MAX, 1]), None);
    }

    proptest! {
        /// Against the obvious: walk the disk byte by byte.
        #[test]
        fn runs_name_the_same_bytes_as_a_walk(
            lengths in prop::collection::vec(1_u64..20, 1..8), offset in 0_u64..150, length in 0_u64..150
        ) {
            let all: Vec<(usize, u64)> = lengths
                .iter()
                .enumerate()
                .flat_map(|(segment, &length)| (0..length).map(move |byte| (segment, byte)))
                .collect();
            let wanted: Vec<_> = all.into_iter()
                .skip(usize::try_from(offset).unwrap()).take(usize::try_from(length).unwrap()).collect();
            let layout = Layout::new(lengths).unwrap();
            let named: Vec<_> = layout.runs(offset, length)
                .flat_map(|run| (0..run.length_bytes).map(move |byte| (run.segment, run.offset_bytes + byte)))
                .collect();
            prop_assert_eq!(named, wanted);
        }
    }
}
