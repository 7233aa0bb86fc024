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
    unit: String,
    ratio_to_raw: Option<f64>,
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

    /// One figure; with `raw` also as a ratio to it.
    pub fn add(&mut self, what: &str, storage: &str, value: f64, unit: &str, raw: Option<f64>) {
        let ratio = raw.filter(|r| *r > 0.0).map(|r| value / r);
        note(&line(what, storage), &format!("{value:.1} {unit}"));
        self.rows.push(Row {
            what: what.to_owned(),
            storage: storage.to_owned(),
            value,
            unit: unit.to_owned(),
            ratio_to_raw: ratio,
        });
    }

    /// Prints the table and writes the JSON.
    pub fn print(&self, json: Option<&Path>) -> Result<()> {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header([
            "what",
            "storage",
            "figure",
            "unit",
            "ratio to raw",
        ]);
        for row in &self.rows {
            let ratio = row
                .ratio_to_raw
                .map(|r| format!("{r:.2}"))
                .unwrap_or_default();
            table.add_row([
                &row.what,
                &row.storage,
                &figure(row.value),
                &row.unit,
                &ratio,
            ]);
        }
        for column in [2, 4] {
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
