//! Events as lines, for people and for programs.

use std::fmt::Write as _;

use jiff::Timestamp;
use tidelog_proto::json;
use tidelog_proto::v1::Event;

use crate::failure::Failure;
use crate::output::Output;

/// More of a payload is cut off in a table; `-o json` shows all of it.
const PAYLOAD_CHARS_MAX: usize = 160;

/// Prints events as they come. In a table, columns only grow, because nobody knows what is still to come.
#[derive(Debug, Default)]
pub struct EventPrinter {
    widths: [usize; 5],
}

const TITLES: [&str; 6] = ["SEQ", "ID", "STORED AT", "TYPE", "AGGREGATE", "PAYLOAD"];

impl EventPrinter {
    /// Prints events that came together.
    pub fn print(&mut self, output: Output, events: &[Event]) -> Result<(), Failure> {
        if output.is_json() {
            for event in events {
                let line = json::event_line(event).map_err(|error| {
                    Failure::failed(format!(
                        "event {} cannot be written as JSON: {error}",
                        id(event)
                    ))
                })?;
                output.line(&line)?;
            }
            return Ok(());
        }
        let first = self.widths == [0; 5] && !events.is_empty();
        if first {
            self.widths = std::array::from_fn(|at| TITLES[at].len());
        }
        let rows: Vec<[String; 6]> = events.iter().map(cells).collect();
        for row in &rows {
            self.widen(row);
        }
        if first {
            output.line(&format!(
                "\x1b[1m{}\x1b[0m",
                self.line(&TITLES.map(str::to_owned))
            ))?;
        }
        for row in &rows {
            output.line(&self.line(row))?;
        }
        Ok(())
    }

    fn widen(&mut self, cells: &[String; 6]) {
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }

    fn line(&self, cells: &[String; 6]) -> String {
        // Writing to a String cannot fail.
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(self.widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        line.push_str(&cells[5]);
        line.trim_end().to_owned()
    }
}

fn cells(event: &Event) -> [String; 6] {
    [
        event.sequence.to_string(),
        id(event),
        stored_at(event),
        printable(&event.r#type),
        printable(&event.aggregate_id),
        payload(event),
    ]
}

/// The id as text.
pub fn id(event: &Event) -> String {
    event.id.as_ref().map_or_else(
        || "?".to_owned(),
        |id| format!("{}#{}/{}", id.location, id.incarnation, id.sequence),
    )
}

fn stored_at(event: &Event) -> String {
    event.stored_at.as_ref().map_or_else(String::new, time)
}

/// A time for people: UTC, to the millisecond.
pub fn time(timestamp: &pbjson_types::Timestamp) -> String {
    Timestamp::new(timestamp.seconds, timestamp.nanos).map_or_else(
        |_| "?".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
    )
}

fn payload(event: &Event) -> String {
    match std::str::from_utf8(&event.payload) {
        Ok(text) if text.chars().count() <= PAYLOAD_CHARS_MAX => printable(text),
        Ok(text) => {
            let shown: String = text.chars().take(PAYLOAD_CHARS_MAX).collect();
            format!("{}… ({} bytes)", printable(&shown), event.payload.len())
        }
        Err(_) => format!("({} bytes)", event.payload.len()),
    }
}

/// Text in one line, without what would move the cursor or colour the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tidelog_proto::v1::EventId;

    fn event(payload: &[u8]) -> Event {
        Event {
            id: Some(EventId {
                location: "eu".to_owned(),
                incarnation: 1,
                sequence: 42,
            }),
            sequence: 7,
            r#type: "OrderPlaced".to_owned(),
            aggregate_id: "order-1".to_owned(),
            payload: Bytes::copy_from_slice(payload),
            stored_at: Some(pbjson_types::Timestamp {
                seconds: 1_700_000_000,
                nanos: 5_000_000,
            }),
            ..Event::default()
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_its_payload_holds() {
        let cells = cells(&event(b"{\"a\":\n\x1b[31m1}"));
        assert_eq!(
            cells,
            [
                "7",
                "eu#1/42",
                "2023-11-14 22:13:20.005",
                "OrderPlaced",
                "order-1",
                "{\"a\":  [31m1}"
            ]
            .map(str::to_owned)
        );
        assert_eq!(payload(&event(&[0xff, 0xfe])), "(2 bytes)");
        let long = payload(&event("ü".repeat(200).as_bytes()));
        assert!(long.ends_with("ü… (400 bytes)"), "{long}");
    }

    #[test]
    fn columns_only_grow() {
        let mut printer = EventPrinter::default();
        printer.widen(&["1", "eu#1/1", "", "A", "", ""].map(str::to_owned));
        printer.widen(&["100000", "e", "", "B", "", ""].map(str::to_owned));
        assert_eq!(printer.widths, [6, 6, 0, 1, 0]);
        assert_eq!(
            printer.line(&["2", "x", "", "A", "", "p"].map(str::to_owned)),
            "2       x         A    p"
        );
    }
}
