//! Charts of a report, as SVG: bars, because the figures have nothing in common but what each is held against.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::backend::SVGBackend;
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Rectangle, Text};
use plotters::style::{Color, IntoFont, RGBColor, TextStyle, WHITE};

use crate::figure::Figure;

const WIDTH: u32 = 900;
const ROW: i32 = 46;
const BAR: i32 = 15;
/// Where bars begin: names are to the left of it.
const LEFT: i32 = 190;
/// For the words behind the longest bar.
const RIGHT: i32 = 330;
const TOP: i32 = 44;

const OURS: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const THEIRS: RGBColor = RGBColor(0xb0, 0xb0, 0xb0);
const BEYOND: RGBColor = RGBColor(0xd6, 0x5f, 0x3c);
const INK: RGBColor = RGBColor(0x30, 0x30, 0x30);

/// A bar and the words behind it.
struct Bar {
    value: f64,
    color: RGBColor,
    words: String,
}

/// How long starts take, Holm's median above the baseline's. Beside the others, which take a tenth or ten times as long, nobody would see
/// them.
pub(crate) fn starts(figures: &[Figure], file: &Path) -> Result<()> {
    let rows = figures.iter().filter(|figure| figure.name.starts_with("start."));
    let rows = rows.map(|figure| {
        let bar = |value: f64, p99: f64, color, who: &str| Bar {
            value,
            color,
            words: format!("{value:.2} s (99 of 100: {p99:.2}) {who}"),
        };
        let theirs = figure.baseline_p99.unwrap_or(figure.baseline);
        let bars = [
            bar(figure.value, figure.p99, OURS, "holm"),
            bar(figure.baseline, theirs, THEIRS, &figure.against),
        ];
        (figure.name.as_str(), Vec::from(bars))
    });
    draw("Seconds of a start, medians: shorter is better", &rows.collect::<Vec<_>>(), None, file)
}

/// What each figure is of what was measured beside it. Goals are in the table: some are to be exceeded.
pub(crate) fn ratios(figures: &[Figure], file: &Path) -> Result<()> {
    let compared = figures.iter().filter(|figure| figure.baseline_p99.is_some());
    let rows = compared.map(|figure| {
        let color = if figure.ratio > 1.0 { BEYOND } else { OURS };
        let words = format!("{:.2} of {}", figure.ratio, figure.against);
        (figure.name.as_str(), vec![Bar { value: figure.ratio, color, words }])
    });
    draw(
        "Holm over what was measured beside it: less than 1 is better",
        &rows.collect::<Vec<_>>(),
        Some(1.0),
        file,
    )
}

/// Rows of bars on one scale, with a line across all of them at `mark`.
fn draw(title: &str, rows: &[(&str, Vec<Bar>)], mark: Option<f64>, file: &Path) -> Result<()> {
    let longest =
        rows.iter().flat_map(|(_, bars)| bars).map(|bar| bar.value).fold(mark.unwrap_or(0.0), f64::max);
    let room = f64::from(i32::try_from(WIDTH)? - LEFT - RIGHT);
    // Pixels: what lies between is nobody's to see.
    #[allow(clippy::cast_possible_truncation)]
    let at = |value: f64| LEFT + (value / longest * room).round() as i32;
    let bottom = TOP + ROW * i32::try_from(rows.len())?;
    let area = SVGBackend::new(file, (WIDTH, u32::try_from(bottom + 10)?)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot draw {}: {error}", file.display());
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let style = |size: i32| TextStyle::from(("sans-serif", size).into_font()).color(&INK);
    let write = |words: &str, place: (i32, i32), size: i32| {
        area.draw(&Text::new(words.to_owned(), place, style(size))).map_err(|error| failed(&error))
    };
    let fill = |from: (i32, i32), to: (i32, i32), color: RGBColor| {
        area.draw(&Rectangle::new([from, to], color.filled())).map_err(|error| failed(&error))
    };
    write(title, (10, 12), 17)?;
    for (y, (name, bars)) in (TOP..).step_by(46).zip(rows) {
        write(name, (10, y + BAR / 2), 14)?;
        for (y, bar) in (y..).step_by(18).zip(bars) {
            fill((LEFT, y), (at(bar.value).max(LEFT + 1), y + BAR), bar.color)?;
            write(&bar.words, (at(bar.value) + 6, y + 2), 12)?;
        }
    }
    if let Some(mark) = mark {
        fill((at(mark), TOP - 8), (at(mark) + 1, bottom), INK)?;
    }
    area.present().map_err(|error| failed(&error))
}
