//! The table at the end.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};

use crate::sweep::Verdict;

/// One mutant in the report.
#[derive(Debug)]
pub struct Row {
    /// Its id.
    pub id: &'static str,
    /// What the code does wrong with it.
    pub what: &'static str,
    /// File and line of its seam.
    pub place: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// The report, and one line that sums it up.
pub fn render(rows: &[Row]) -> String {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["mutant", "what is wrong", "where", "verdict", "by"]);
    let (mut caught, mut equivalent, mut alive) = (0, 0, 0);
    for row in rows {
        let (verdict, by) = match &row.verdict {
            Verdict::Caught { by, millis } => {
                caught += 1;
                ("caught", format!("{by} ({millis} ms)"))
            }
            Verdict::Equivalent { because } => {
                equivalent += 1;
                ("equivalent", because.clone())
            }
            Verdict::NotEquivalent { by } => {
                alive += 1;
                ("NOT EQUIVALENT", by.clone())
            }
            Verdict::Alive => {
                alive += 1;
                ("ALIVE", String::new())
            }
        };
        table.add_row([row.id, row.what, &row.place, verdict, &by]);
    }
    format!(
        "{table}\n{} mutants: {caught} caught, {equivalent} equivalent, {alive} alive\n",
        rows.len()
    )
}
