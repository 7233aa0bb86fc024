//! Everything that is shown: results on the standard output, notes and failures on the standard error.
//!
//! Results alone go to the standard output, so that a pipe gets nothing else. Colours are written always and taken out at the end
//! when the reader is no terminal.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice};
use comfy_table::{Attribute, Cell, ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::args::{Color, Format, GlobalArgs};
use crate::failure::Failure;
use crate::plugin::{Called, in_words};

pub use comfy_table::Color as Ink;

/// How to show what.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
    color: ColorChoice,
    quiet: bool,
    verbose: u8,
    called: Called,
}

impl Output {
    /// As the options say, for somebody who has called the program by that name.
    pub fn new(global: &GlobalArgs, called: Called) -> Self {
        Self {
            format: global.output,
            color: match global.color {
                Color::Auto => ColorChoice::Auto,
                Color::Always => ColorChoice::Always,
                Color::Never => ColorChoice::Never,
            },
            quiet: global.quiet,
            verbose: global.verbose,
            called,
        }
    }

    /// The format of results.
    pub fn format(self) -> Format {
        self.format
    }

    /// True when results are for programs.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// How much to say: 0 is normal.
    pub fn verbosity(self) -> u8 {
        self.verbose
    }

    /// True when only results are wanted.
    pub fn is_quiet(self) -> bool {
        self.quiet
    }

    /// A line, or several, of a result.
    pub fn line(self, text: &str) -> Result<(), Failure> {
        let mut stdout = AutoStream::new(io::stdout().lock(), self.color);
        stdout.write_all(text.trim_end_matches('\n').as_bytes())?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
        Ok(())
    }

    /// A result as one JSON document.
    pub fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| {
            Failure::failed(format!("cannot write the result as JSON: {error}"))
        })?;
        self.line(&text)
    }

    /// A result as a table.
    pub fn table(self, table: &Table) -> Result<(), Failure> {
        self.line(&rendered(table))
    }

    /// Something worth knowing that is no result.
    pub fn note(self, text: &str) {
        if !self.quiet {
            self.error_line(text);
        }
    }

    /// Something that only those who ask for more want to know.
    pub fn detail(self, text: &str) {
        if self.verbose > 0 {
            self.note(text);
        }
    }

    /// Something that should be looked at; also shown when quiet.
    pub fn warning(self, text: &str) {
        self.error_line(&format!("\x1b[33mwarning:\x1b[0m {text}"));
    }

    /// Something that is wrong.
    pub fn error(self, text: &str) {
        self.error_line(&format!("\x1b[1;31merror:\x1b[0m {text}"));
    }

    /// Why the command ended.
    pub fn failure(self, failure: &Failure) {
        if !failure.message.is_empty() {
            self.error(&failure.message);
        }
        if !failure.hint.is_empty() {
            self.error_line(&format!(
                "  \x1b[2m{}\x1b[0m",
                failure.hint.replace('\n', "\n  ")
            ));
        }
    }

    fn error_line(self, text: &str) {
        let said = match self.called {
            Called::Plugin => Cow::Owned(in_words(text)),
            Called::Tidelog | Called::Completion => Cow::Borrowed(text),
        };
        let text = said.as_ref();
        let mut stderr = AutoStream::new(io::stderr().lock(), self.color);
        // Whoever closed the standard error does not want to hear about it.
        let _ = writeln!(stderr, "{text}");
    }

    /// True when progress can be drawn.
    pub fn has_terminal(self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// A bar that counts to `total`; it draws nothing without a terminal.
    pub fn progress(self, total: Option<u64>, what: &str) -> ProgressBar {
        let target = if self.has_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {human_pos}/{human_len} {per_sec}",
            None => "{msg} {human_pos} {per_sec}",
        };
        let style = ProgressStyle::with_template(template).map_or_else(
            |_| ProgressStyle::default_bar(),
            |style| style.progress_chars("=> "),
        );
        ProgressBar::with_draw_target(total, target)
            .with_style(style)
            .with_message(what.to_owned())
    }
}

/// A table without lines, with a header in bold; it is as wide as its content.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .enforce_styling()
        .set_header(
            header
                .iter()
                .map(|name| Cell::new(name).add_attribute(Attribute::Bold)),
        );
    table
}

/// The text of a table, without space at the ends of lines.
pub fn rendered(table: &Table) -> String {
    let mut table = table.clone();
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
        .lines()
        .map(|line| without_padding(&line) + "\n")
        .collect()
}

/// The padding of a styled cell lies inside of its style.
fn without_padding(line: &str) -> String {
    let mut text = line.trim_end();
    let mut styles = String::new();
    while let Some(at) = text.rfind('\x1b').filter(|at| is_style(&text[*at..])) {
        styles.insert_str(0, &text[at..]);
        text = text[..at].trim_end();
    }
    format!("{text}{styles}")
}

/// One escape sequence that changes colours or weight, and nothing else.
fn is_style(text: &str) -> bool {
    text.strip_prefix("\x1b[")
        .and_then(|rest| rest.strip_suffix('m'))
        .is_some_and(|inner| inner.chars().all(|c| c.is_ascii_digit() || c == ';'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_table_is_aligned_and_ends_without_space() {
        let mut table = table(&["NAME", "HEAD"]);
        table.add_row(["eu", "12"]);
        table.add_row([
            Cell::new("store-17").fg(Ink::Red),
            Cell::new("").fg(Ink::Reset),
        ]);
        let plain = anstream::adapter::strip_str(&rendered(&table)).to_string();
        expect![[r"
            NAME      HEAD
            eu        12
            store-17
        "]]
        .assert_eq(&plain);
    }
}
