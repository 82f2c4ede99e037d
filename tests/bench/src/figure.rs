//! A figure, and the report that holds them: target/bench.json and the table.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::machine::Machine;

/// One measured value and what it is held against.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What the baseline is, in words.
    pub(crate) against: String,
    pub(crate) baseline: f64,
    /// Value over baseline.
    pub(crate) ratio: f64,
    /// Counted runs.
    pub(crate) n: u32,
}

impl Figure {
    pub(crate) fn new(
        name: &'static str,
        unit: &'static str,
        (value, baseline): (f64, f64),
        against: impl Into<String>,
        n: u32,
    ) -> Self {
        Self { name, value, unit, against: against.into(), baseline, ratio: value / baseline, n }
    }
}

/// All figures of one run.
#[derive(Debug, Serialize)]
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

    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["figure", "value", "unit", "baseline", "against", "ratio", "n"]);
        for figure in &self.figures {
            table.add_row([
                figure.name.to_owned(),
                format!("{:.3}", figure.value),
                figure.unit.to_owned(),
                format!("{:.3}", figure.baseline),
                figure.against.clone(),
                format!("{:.2}", figure.ratio),
                figure.n.to_string(),
            ]);
        }
        for index in [1, 3, 5, 6] {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        format!("{}\n{table}", self.machine)
    }
}
