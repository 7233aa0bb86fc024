//! The table at the end, and progress until then.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Row {
    what: String,
    storage: String,
    value: f64,
    unit: &'static str,
    raw: Option<f64>,
    ratio_to_raw: Option<f64>,
    ratio_to_earlier_build: Option<f64>,
}

/// What was measured, and what ran in turns with it.
pub struct Figure {
    pub value: f64,
    pub unit: &'static str,
    pub raw: Option<f64>,
    pub earlier: Option<f64>,
}

impl Figure {
    /// A figure that stands for itself.
    pub fn of(value: f64, unit: &'static str) -> Self {
        Self {
            value,
            unit,
            raw: None,
            earlier: None,
        }
    }

    fn ratio_to(&self, other: Option<f64>) -> Option<f64> {
        other.filter(|r| *r > 0.0).map(|r| self.value / r)
    }
}

/// Progress for people.
pub fn note(what: &str, text: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {what}: {text}");
}

/// How one figure is named in the progress.
pub fn line(what: &str, storage: &str) -> String {
    format!("{what} ({storage})")
}

/// Figures of one run.
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// One figure, with its ratios.
    pub fn add(&mut self, what: &str, storage: &str, figure: Figure) {
        let text = format!("{:.1} {}", figure.value, figure.unit);
        note(&line(what, storage), &text);
        self.rows.push(Row {
            what: what.to_owned(),
            storage: storage.to_owned(),
            value: figure.value,
            unit: figure.unit,
            raw: figure.raw,
            ratio_to_raw: figure.ratio_to(figure.raw),
            ratio_to_earlier_build: figure.ratio_to(figure.earlier),
        });
    }

    /// Prints the table and writes the JSON.
    pub fn print(&self, json: Option<&Path>) -> Result<()> {
        let mut table = Table::new();
        let beside = self.rows.iter().any(|r| r.ratio_to_earlier_build.is_some());
        let mut header = vec!["what", "storage", "figure", "unit", "raw", "ratio to raw"];
        header.extend(beside.then_some("ratio to earlier build"));
        table.load_style(UTF8_FULL_CONDENSED).set_header(header);
        for row in &self.rows {
            let ratio = |r: Option<f64>| r.map(|r| format!("{r:.2}")).unwrap_or_default();
            let mut cells = vec![
                row.what.clone(),
                row.storage.clone(),
                figure(row.value),
                row.unit.to_owned(),
                row.raw.map(figure).unwrap_or_default(),
                ratio(row.ratio_to_raw),
            ];
            cells.extend(beside.then(|| ratio(row.ratio_to_earlier_build)));
            table.add_row(cells);
        }
        for column in [2, 4, 5, 6] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{table}")?;
        writeln!(out, "machine: {}", machine())?;
        if let Some(path) = json {
            let document = serde_json::json!({"machine": machine(), "figures": self.rows});
            std::fs::write(path, serde_json::to_vec_pretty(&document)?)?;
            writeln!(out, "written to {}", path.display())?;
        }
        writeln!(out, "done")?;
        Ok(())
    }
}

fn figure(value: f64) -> String {
    if value >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// Cores, kernel and date: enough to know what the absolute figures are worth.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = Command::new("uname")
        .arg("-sr")
        .output()
        .map(|o| o.stdout)
        .unwrap_or_default();
    format!("{cores} cores, {}", String::from_utf8_lossy(&kernel).trim())
}
