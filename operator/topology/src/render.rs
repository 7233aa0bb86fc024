//! A plan for people: as text, and for Graphviz.

mod picture;

use std::fmt::Write as _;

use crate::plan::{Edge, Plan, Side};

/// Picture, table of edges and findings.
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "log {} ({} {}): {}, {}, {}, {}",
        plan.log,
        plan.application.name,
        plan.application.version,
        count(plan.locations.len(), "location"),
        count(plan.edges.len(), "edge"),
        count(plan.components.len(), "component"),
        count(plan.bridges.len(), "bridge"),
    );
    let _ = writeln!(
        out,
        "spec {}  plan {}",
        plan.spec_hash.short(),
        plan.plan_id
    );
    out.push('\n');
    for line in picture::lines(plan) {
        let _ = writeln!(out, "{}", format!("  {line}").trim_end());
    }
    if !plan.edges.is_empty() {
        out.push('\n');
        table(&mut out, plan);
    }
    if !plan.findings.is_empty() {
        out.push('\n');
    }
    for finding in &plan.findings {
        let severity = match finding.severity {
            crate::Severity::Error => "error",
            crate::Severity::Warning => "warning",
        };
        let _ = writeln!(
            out,
            "{severity} {} {}: {}",
            finding.kind, finding.subject, finding.message
        );
        if let Some(example) = &finding.example {
            let _ = writeln!(out, "  example: {example}");
        }
    }
    out
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn table(out: &mut String, plan: &Plan) {
    let head = [
        "SOURCE",
        "TARGET",
        "LINK",
        "DIALLED BY",
        "AT",
        "FILTERS",
        "STATE",
    ];
    let rows: Vec<[String; 7]> = std::iter::once(head.map(str::to_owned))
        .chain(plan.edges.values().map(row))
        .collect();
    let widths: [usize; 7] = std::array::from_fn(|at| {
        rows.iter()
            .map(|row| row[at].chars().count())
            .max()
            .unwrap_or(0)
    });
    for row in rows {
        let line: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(out, "{}", line.join("  ").trim_end());
    }
}

fn row(edge: &Edge) -> [String; 7] {
    let (by, at) = match &edge.dial {
        Some(dial) => (
            match dial.by {
                Side::Source => edge.source.clone(),
                Side::Target => edge.target.clone(),
            },
            dial.endpoint.as_ref().map_or_else(
                || "-".to_owned(),
                |endpoint| format!("{}:{}", endpoint.host, endpoint.port),
            ),
        ),
        None => ("nobody".to_owned(), "-".to_owned()),
    };
    let filters: Vec<&str> = edge
        .filters
        .iter()
        .map(|filter| filter.name.as_str())
        .collect();
    [
        edge.source.clone(),
        edge.target.clone(),
        edge.link.clone(),
        by,
        at,
        if filters.is_empty() {
            "-".to_owned()
        } else {
            filters.join(", ")
        },
        if edge.paused {
            "paused".to_owned()
        } else {
            "active".to_owned()
        },
    ]
}

/// A directed graph for `dot`: dashed edges are paused, labels are filters, colours are components.
pub fn dot(plan: &Plan) -> String {
    const COLOURS: [&str; 6] = [
        "steelblue",
        "seagreen",
        "darkorange",
        "purple",
        "firebrick",
        "goldenrod",
    ];
    let mut out = String::new();
    let _ = writeln!(out, "digraph {} {{", quoted(&plan.log));
    let _ = writeln!(out, "  node [shape=box, style=rounded];");
    for (name, location) in &plan.locations {
        let label = match &location.export_filter {
            Some(_) => format!("{name}\nexport filter"),
            None => name.clone(),
        };
        let _ = writeln!(out, "  {} [label={}];", quoted(name), quoted(&label));
    }
    for (id, edge) in &plan.edges {
        let mut attributes = Vec::new();
        if let Some(at) = plan.components.iter().position(|c| c.edges.contains(id)) {
            attributes.push(format!("color={}", COLOURS[at % COLOURS.len()]));
        }
        if !edge.filters.is_empty() {
            let names: Vec<&str> = edge
                .filters
                .iter()
                .map(|filter| filter.name.as_str())
                .collect();
            attributes.push(format!("label={}", quoted(&names.join("\n"))));
        }
        if edge.paused {
            attributes.push("style=dashed".to_owned());
        }
        let attributes = match attributes.as_slice() {
            [] => String::new(),
            some => format!(" [{}]", some.join(", ")),
        };
        let _ = writeln!(
            out,
            "  {} -> {}{attributes};",
            quoted(&id.source),
            quoted(&id.target)
        );
    }
    out.push_str("}\n");
    out
}

fn quoted(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    )
}
