//! Maps of sparse files: where data are; the rest is holes.

use super::pax::{header_number, number, split_at_byte};

/// Most runs of one file: 16 MiB of memory.
pub(super) const MAX_RUNS: usize = 1 << 20;

/// A run of data within a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Form 0.1: `offset,length,offset,length...`.
pub(super) fn parse_list(list: &[u8]) -> Option<Vec<Run>> {
    let mut numbers = list.split(|byte| *byte == b',').map(|field| number(field).flatten());
    let mut runs = Vec::new();
    while let Some(offset) = numbers.next() {
        runs.push(Run { offset: offset?, length: numbers.next()?? });
    }
    Some(runs)
}

/// Old GNU form: pairs of 12-byte numbers; one that begins with NUL ends the list.
pub(super) fn parse_fields(fields: &[u8], runs: &mut Vec<Run>) -> Option<()> {
    for pair in fields.chunks_exact(24) {
        if pair.first() == Some(&0) {
            break;
        }
        let (offset, length) = pair.split_at_checked(12)?;
        runs.push(Run { offset: header_number(offset)?, length: header_number(length)? });
    }
    (runs.len() <= MAX_RUNS).then_some(())
}

/// Form 1.0, read block by block: a count, then offsets and lengths, one decimal number a line.
#[derive(Default)]
pub(super) struct MapLines {
    partial: Vec<u8>,
    numbers: Vec<u64>,
    count: Option<usize>,
}

impl MapLines {
    /// Takes the next block; the runs once they are complete, `Err` when malformed.
    pub(super) fn push(&mut self, block: &[u8]) -> Result<Option<Vec<Run>>, ()> {
        let mut rest = block;
        while let Some((line, after)) = split_at_byte(rest, b'\n') {
            self.partial.extend_from_slice(line);
            let number = number(&self.partial).flatten().ok_or(())?;
            self.partial.clear();
            rest = after;
            match self.count {
                None => {
                    let count = usize::try_from(number).map_err(|_| ())?;
                    if count > MAX_RUNS {
                        return Err(());
                    }
                    self.count = Some(count);
                }
                Some(_) => self.numbers.push(number),
            }
            if self.count.is_some_and(|count| self.numbers.len() == 2 * count) {
                let runs = self.numbers.chunks_exact(2).filter_map(|pair| match pair {
                    [offset, length] => Some(Run { offset: *offset, length: *length }),
                    _ => None,
                });
                return Ok(Some(runs.collect()));
            }
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() > 20 { Err(()) } else { Ok(None) }
    }
}

/// Whether a map is in order, within the file, and as long as what is stored.
pub(super) fn is_sound(runs: &[Run], size_bytes: u64, stored_bytes: u64) -> bool {
    let mut end = 0;
    let mut data: u64 = 0;
    for run in runs {
        let Some(run_end) = run.offset.checked_add(run.length) else { return false };
        if run.offset < end || run_end > size_bytes {
            return false;
        }
        end = run_end;
        data += run.length;
    }
    data == stored_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: [Run; 2] = [Run { offset: 0, length: 512 }, Run { offset: 4096, length: 100 }];

    #[test]
    fn the_three_forms() {
        assert_eq!(parse_list(b"0,512,4096,100").as_deref(), Some(RUNS.as_slice()));
        assert_eq!(parse_list(b"0,512,4096"), None);
        assert_eq!(parse_list(b"a,b"), None);

        let mut runs = Vec::new();
        let fields =
            [b"00000000000\0".as_slice(), b"00000001000\0", b"00000010000 ", b"00000000144 ", &[0; 24]];
        parse_fields(&fields.concat(), &mut runs).unwrap();
        assert_eq!(runs, RUNS);

        let mut lines = MapLines::default();
        assert_eq!(lines.push(b"2\n0\n51"), Ok(None));
        assert_eq!(lines.push(b"2\n4096\n100\n\0\0\0\0").unwrap().as_deref(), Some(RUNS.as_slice()));
        assert_eq!(MapLines::default().push(b"99999999\n"), Err(()));
        assert_eq!(MapLines::default().push(&[b'1'; 512]), Err(()));
        assert_eq!(MapLines::default().push(b"0\n").unwrap(), Some(vec![]));
    }

    #[test]
    fn unsound_maps() {
        assert!(is_sound(&RUNS, 4196, 612));
        assert!(!is_sound(&RUNS, 4195, 612));
        assert!(!is_sound(&RUNS, 4196, 611));
        assert!(!is_sound(&[RUNS[1], RUNS[0]], 9999, 612));
        assert!(!is_sound(&[Run { offset: u64::MAX, length: 2 }], u64::MAX, 2));
    }
}
