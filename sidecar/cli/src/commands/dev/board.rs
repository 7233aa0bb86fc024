//! What a running network shows: a live table on a terminal, lines about changes elsewhere.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidelog_proto::v1::{EdgeState, LocationStatus};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::commands::status::{self, edge_state, location_state};
use crate::failure::Failure;
use crate::output::{Output, rendered};

/// The screen.
pub struct Board {
    output: Output,
    /// Draws the table; hidden without a terminal.
    bar: ProgressBar,
    told: BTreeMap<String, String>,
}

impl Board {
    /// A board, and the log of the process beside it.
    pub fn new(output: Output) -> Self {
        let live = output.has_terminal() && io::stdout().is_terminal() && !output.is_json();
        let target = if live {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = ProgressStyle::with_template("{msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        let board = Self {
            output,
            bar,
            told: BTreeMap::new(),
        };
        let level = match output.verbosity() {
            0 => "warn",
            1 => "info",
            _ => "debug",
        };
        // A second call, in tests of one process, changes nothing.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(level))
            .with_ansi(live)
            .with_target(false)
            .with_writer(BesideBoard(board.bar.clone()))
            .try_init();
        board
    }

    /// Prints above the table.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        self.bar.suspend(|| self.output.line(text))
    }

    /// Says something that is no result.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| self.output.note(text));
    }

    /// Says something that should be looked at.
    pub fn warning(&self, text: &str) {
        self.bar.suspend(|| self.output.warning(text));
    }

    /// Says that something is wrong.
    pub fn error(&self, text: &str) {
        self.bar.suspend(|| self.output.error(text));
    }

    /// Shows where everything stands now.
    pub fn update(&mut self, locations: &[LocationStatus]) -> Result<(), Failure> {
        if !self.bar.is_hidden() {
            let edges = status::edges(locations);
            let text = rendered(&status::edges_table(&edges));
            // Drawn anew only when something is different: terminals flicker, and people mark and copy.
            if self.bar.message() != text.trim_end() {
                self.bar.set_message(text.trim_end().to_owned());
                self.bar.tick();
            }
            return Ok(());
        }
        for (subject, state) in states(locations) {
            if self.told.get(&subject) != Some(&state) {
                if !self.output.is_quiet() && !self.output.is_json() {
                    self.output.line(&format!("{subject} is {state}"))?;
                }
                self.told.insert(subject, state);
            }
        }
        Ok(())
    }

    /// Ends the table; the last one stays. Taking it away would need to know where the cursor is, and the `^C` that a terminal shows has moved it.
    pub fn close(&self) {
        if !self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::hidden());
            // Whether it was moved or not: what comes next begins a line.
            let _ = writeln!(io::stderr());
        }
    }
}

/// How often the table is drawn anew.
pub const REFRESH: Duration = Duration::from_millis(500);

/// What every location and edge is doing, in one word each.
fn states(locations: &[LocationStatus]) -> Vec<(String, String)> {
    let mut states = Vec::new();
    for location in locations {
        let (state, _) = location_state(location.state());
        states.push((
            format!("{}/{}", location.log, location.location),
            state.to_owned(),
        ));
    }
    for (log, edge) in status::edges(locations) {
        // A stream that copies what is behind is a stream: not worth a line whenever an event arrives.
        let state = match edge.state() {
            EdgeState::CatchingUp => "Streaming".to_owned(),
            _ => edge_state(edge).0,
        };
        states.push((format!("{log} {}->{}", edge.source, edge.target), state));
    }
    states
}

/// Writes log lines where they do not tear the table.
struct BesideBoard(ProgressBar);

impl<'a> MakeWriter<'a> for BesideBoard {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine(self.0.clone())
    }
}

struct LogLine(ProgressBar);

impl io::Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
