//! A figure, and the report that holds them: target/bench.json and the table.

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, Table};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::sample::Spread;

/// One measured value and what it is held against.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    /// The median of its runs.
    pub(crate) value: f64,
    /// What 99 of 100 runs do not exceed; of fewer runs than a hundred, the greatest.
    pub(crate) p99: f64,
    pub(crate) unit: String,
    /// What the baseline is, in words.
    pub(crate) against: String,
    pub(crate) baseline: f64,
    /// Absent where the baseline is a goal.
    pub(crate) baseline_p99: Option<f64>,
    /// Value over baseline.
    pub(crate) ratio: f64,
    /// Counted runs.
    pub(crate) n: u32,
}

impl Figure {
    pub(crate) fn new(
        name: &str,
        unit: &str,
        (ours, theirs): (Spread, Spread),
        against: impl Into<String>,
        n: u32,
    ) -> Self {
        let goal = Self::of_goal(name, unit, ours, theirs.median, against, n);
        Self { baseline_p99: Some(theirs.p99), ..goal }
    }

    /// Held against a number.
    pub(crate) fn of_goal(
        name: &str,
        unit: &str,
        ours: Spread,
        goal: f64,
        against: impl Into<String>,
        n: u32,
    ) -> Self {
        Self {
            name: name.to_owned(),
            value: ours.median,
            p99: ours.p99,
            unit: unit.to_owned(),
            against: against.into(),
            baseline: goal,
            baseline_p99: None,
            ratio: ours.median / goal,
            n,
        }
    }
}

/// All figures of one run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    machine: Machine,
    figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn new(machine: Machine) -> Self {
        Self { machine, figures: Vec::new() }
    }

    pub(crate) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    pub(crate) fn figures(&self) -> &[Figure] {
        &self.figures
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// For a terminal.
    pub(crate) fn table(&self) -> String {
        format!("{}\n{}", self.machine, self.rows().load_style(UTF8_FULL_CONDENSED))
    }

    /// For a document.
    pub(crate) fn markdown(&self) -> String {
        self.rows().load_style(ASCII_MARKDOWN).to_string()
    }

    fn rows(&self) -> Table {
        let mut table = Table::new();
        table.set_header(["figure", "median", "p99", "unit", "baseline", "p99", "against", "ratio", "n"]);
        for figure in &self.figures {
            table.add_row([
                figure.name.clone(),
                format!("{:.3}", figure.value),
                format!("{:.3}", figure.p99),
                figure.unit.clone(),
                format!("{:.3}", figure.baseline),
                figure.baseline_p99.map_or_else(String::new, |p99| format!("{p99:.3}")),
                figure.against.clone(),
                format!("{:.2}", figure.ratio),
                figure.n.to_string(),
            ]);
        }
        for index in [1, 2, 4, 5, 7, 8] {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }
}
