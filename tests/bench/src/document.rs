//! The report as a part of a document: a table between two marks, and charts beside it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::chart;
use crate::figure::Report;

const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- end of figures -->";
const STARTS: &str = "performance-starts.svg";
const RATIOS: &str = "performance-ratios.svg";

/// Puts the report into the document.
pub(crate) fn update(report: &Report, document: &Path) -> Result<()> {
    let text = fs::read_to_string(document).with_context(|| document.display().to_string())?;
    let new = with_figures(&text, report).with_context(|| format!("{} has no marks", document.display()))?;
    let beside = |name: &str| document.with_file_name(name);
    chart::starts(report.figures(), &beside(STARTS))?;
    chart::ratios(report.figures(), &beside(RATIOS))?;
    fs::write(document, new).with_context(|| document.display().to_string())
}

/// The document with this report instead of the one that is in it.
fn with_figures(text: &str, report: &Report) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let (machine, table) = (report.machine(), report.markdown());
    let charts = format!("![Starts]({STARTS})\n\n![Ratios]({RATIOS})");
    Some(format!("{before}{BEGIN}{machine}\n\n{table}\n\n{charts}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;
    use crate::sample::Spread;

    fn report(value: f64) -> Report {
        let machine = serde_json::from_str(
            r#"{"cpu": "some", "cpus": 2, "memory_mib": 8192, "kernel": "6.1", "host": "lab"}"#,
        );
        let mut report = Report::new(machine.unwrap());
        let spread = |value| Spread { median: value, p99: value + 1.0 };
        report.add(Figure::new("start.cold", "s", (spread(value), spread(2.0)), "something", 3));
        report.add(Figure::of_goal("vmm.rss_mib", "MiB", spread(value), 3.0, "a goal", 1));
        report
    }

    #[test]
    fn a_document_has_the_last_report_and_its_charts() {
        let directory = tempfile::tempdir().unwrap();
        let document = directory.path().join("performance.md");
        fs::write(&document, format!("# Title\n{BEGIN}former\n{END}\n\nend\n")).unwrap();
        for value in [1.0, 4.0] {
            update(&report(value), &document).unwrap();
        }
        let text = fs::read_to_string(&document).unwrap();
        assert!(
            text.starts_with("# Title\n") && text.ends_with("\nend\n") && !text.contains("former"),
            "{text}"
        );
        assert!(text.contains("| start.cold") && text.contains("2.00") && !text.contains("0.50"), "{text}");
        let chart = fs::read_to_string(directory.path().join(STARTS)).unwrap();
        assert!(chart.starts_with("<svg") && chart.contains("start.cold") && !chart.contains("vmm.rss"));
        assert!(
            !fs::read_to_string(directory.path().join(RATIOS)).unwrap().contains("vmm.rss_mib"),
            "a goal"
        );
    }

    #[test]
    fn a_document_without_marks_is_refused() {
        assert_eq!(with_figures("# Title\n", &report(1.0)), None);
    }
}
