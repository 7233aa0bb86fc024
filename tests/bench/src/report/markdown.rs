//! The page with all figures.

use std::fmt::Write as _;

use super::statistics::{Line, Spread, lines};
use super::{chart, figure, targets};
use crate::cells::Document;
use crate::systems::Who;

/// What a topic is about, in the words of the page.
const TOPICS: [(&str, &str, &str); 4] = [
    (
        "append",
        "Appends",
        "How fast events become durable. Single events: so many callers that each wait for their own answer. Stream: one `AppendStream` of single events with so many in flight. Batches: requests of so many events. Conditional: each append holds only when nobody has appended for its aggregate since. The raw insert does the same in each row, one statement of 500 rows per commit.",
    ),
    (
        "replay",
        "Reads",
        "How fast what is stored is read again, from the first event to the last one: everything, the events of one type out of 100, the events of one aggregate out of 10,000 (reads per second).",
    ),
    (
        "follow",
        "Append to subscriber",
        "From the start of an append to the arrival at a subscriber of the same location, one event at a time.",
    ),
    (
        "replicate",
        "Replication",
        "How fast a location that has missed everything has it, and how soon a single event is there while both run (live). Native is PostgreSQL's own logical replication between the same two servers, each transaction flushed at the target.",
    ),
];

/// The page, and the pictures that it shows by their file names.
pub fn page(document: &Document) -> (String, Vec<(String, String)>) {
    let mut page = String::from("# Benchmarks\n\n");
    let mut pictures = Vec::new();
    let settings = &document.settings;
    let machine = &document.machine;
    let repetitions = document
        .cells
        .iter()
        .map(|cell| cell.repetition)
        .max()
        .unwrap_or(0);
    let _ = writeln!(
        page,
        "Written by `make bench`. Everybody was measured in one run on one machine, in turns of half a second, {} s each in each of {repetitions} \
         repetitions; a repetition begins with nothing. Everybody acknowledges only what is on disk; after each repetition each log was read from its first \
         event to its last one: as many as were acknowledged, in order, without gaps. **What counts are the ratios**: absolute figures drift with the \
         machine. Ratios are taken within a repetition; given are the median of the repetitions and, in brackets, the lowest and the highest.\n",
        settings.seconds
    );
    let _ = writeln!(
        page,
        "Machine: {} cores ({}), {} GiB, {}, {}, {}. Programs: revision `{}`. To repeat it: `make bench`; `make bench QUICK=1` is a short look. The cells \
         are in [benchmarks.json](benchmarks.json).\n",
        machine.cores,
        machine.processor,
        machine.memory_gib,
        machine.kernel,
        machine.file_system,
        machine.date,
        settings.revision
    );
    systems(&mut page, document);
    goals(&mut page, document);
    let lines = lines(document);
    for (topic, title, about) in TOPICS {
        let of: Vec<&Line> = lines.iter().filter(|line| line.key.topic == topic).collect();
        if of.is_empty() {
            continue;
        }
        let _ = writeln!(page, "## {title}\n\n{about}\n");
        if let Some(picture) = chart::of(&of) {
            let name = format!("benchmarks-{topic}.svg");
            let _ = writeln!(page, "![{title}]({name})\n");
            pictures.push((name, picture));
        }
        table(&mut page, &of);
    }
    (page, pictures)
}

fn systems(page: &mut String, document: &Document) {
    page.push_str("| system | what it is |\n|---|---|\n");
    for (name, about) in &document.systems {
        let _ = writeln!(page, "| {name} | {about} |");
    }
    for (name, why) in &document.absent {
        let why = why.lines().next_back().unwrap_or_default();
        let _ = writeln!(page, "| {name} | **left out**, it could not be had: {why} |");
    }
    page.push('\n');
}

fn goals(page: &mut String, document: &Document) {
    page.push_str("## Targets\n\n| target | wanted | measured | |\n|---|---:|---:|---|\n");
    for judged in targets::judge(document) {
        let measured = judged.measured.map(figure).unwrap_or_default();
        let _ = writeln!(
            page,
            "| {} | {} | {measured} | {} |",
            judged.what, judged.wanted, judged.word
        );
    }
    page.push('\n');
}

/// One row for each figure of each row, the systems beside each other.
fn table(page: &mut String, lines: &[&Line]) {
    let mut systems: Vec<&str> = Vec::new();
    for line in lines {
        if !systems.contains(&line.system.as_str()) {
            systems.push(&line.system);
        }
    }
    systems.sort_by_key(|name| *name != Who::Tidelog.name());
    let _ = writeln!(page, "| | figure | {} |", systems.join(" | "));
    let _ = writeln!(page, "|---|---|{}", "---:|".repeat(systems.len()));
    let mut done: Vec<(&str, usize, &str)> = Vec::new();
    for line in lines {
        let row = (
            line.key.row.as_str(),
            line.key.payload,
            line.figure.as_str(),
        );
        if done.contains(&row) {
            continue;
        }
        done.push(row);
        let cells = systems.iter().map(|system| {
            let of = |other: &&&Line| {
                other.system == **system && other.key == line.key && other.figure == line.figure
            };
            lines.iter().find(of).map(|line| cell(line)).unwrap_or_default()
        });
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(
            page,
            "| {}, {} B | {} | {} |",
            line.key.row,
            line.key.payload,
            unit(&line.figure),
            cells.join(" | ")
        );
    }
    page.push('\n');
}

fn cell(line: &Line) -> String {
    let ratio = line.ratio.map(|Spread { median, lowest, highest }| {
        format!("<br>{median:.2} ({lowest:.2}–{highest:.2})")
    });
    figure(line.value.median) + &ratio.unwrap_or_default()
}

/// `events_per_s` as people write it.
fn unit(figure: &str) -> String {
    let words = figure.replace("_per_s", "/s").replace("p99_9", "p99.9");
    match words.strip_suffix("_ms") {
        Some(what) => format!("{}, ms", what.replace('_', " ")),
        None => words.replace('_', " "),
    }
}
