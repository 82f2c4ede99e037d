//! `1.5g`: an amount of bytes as Docker reads it, with binary or with decimal units.

/// What a `k` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    /// 1024, for memory and disks; `kib` is the same as `k` and `kb`.
    Binary,
    /// 1000, for logs.
    Decimal,
}

/// The amount in bytes, exactly, rounded down; `None` when the text is no decimal number with an optional unit, or when
/// the amount does not fit.
pub(super) fn parse(text: &str, units: Units) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = lower.get(number.len()..)?;
    let prefix = match units {
        Units::Binary => unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')),
        Units::Decimal => unit.strip_suffix('b'),
    };
    let power = match prefix.unwrap_or(unit) {
        "" if !unit.ends_with("ib") => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    let unit = match units {
        Units::Binary => 1024_u64,
        Units::Decimal => 1000,
    }
    .pow(power);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u128>().ok()?.checked_mul(u128::from(unit))?.checked_div(scale)?;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_dockers() {
        let both = |text: &str| (parse(text, Units::Binary), parse(text, Units::Decimal));
        assert_eq!(both("6291456"), (Some(6 << 20), Some(6 << 20)));
        assert_eq!(both("100b"), (Some(100), Some(100)));
        assert_eq!(both("512m"), (Some(512 << 20), Some(512_000_000)));
        assert_eq!(both("10MB"), (Some(10 << 20), Some(10_000_000)));
        assert_eq!(both("1.5g"), (Some(3 << 29), Some(1_500_000_000)));
        assert_eq!(both("2 t"), (Some(2 << 40), Some(2_000_000_000_000)));
        assert_eq!(both("1GiB"), (Some(1 << 30), None));
        assert_eq!(both("-1"), (None, None));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "m", "ib", "1ib", "1.", ".5", "10x", "1e3", "99999999999999t", "1..2", "+1", "10  m", "1bb"]
        {
            assert_eq!(parse(text, Units::Binary), None, "{text}");
        }
    }
}
