//! `tidelog dev` on a terminal: a table of edges that is drawn in place, what is said above it, and its end.

use std::fs::{self, File};
use std::io::Write as _;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};

use crate::support::{Network, eventually};

const ROWS: NonZero<u16> = NonZero::new(40).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(140).unwrap();

/// A program on a terminal of its own, which `script` of util-linux provides.
struct Terminal {
    child: Child,
    shown: PathBuf,
}

impl Terminal {
    /// Starts `dev` of a network on one.
    fn of(network: &Network) -> Self {
        let dev = network.dev(&[]);
        let words = std::iter::once(dev.get_program()).chain(dev.get_args());
        let words: Vec<String> = words
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        // A terminal has the size of the one around it, and here is none.
        let typed = format!("stty rows {ROWS} cols {COLUMNS}; exec {}", words.join(" "));
        let shown = network.path("shown");
        let child = std::process::Command::new("script")
            .args([
                "--quiet",
                "--return",
                "--flush",
                "--command",
                &typed,
                "/dev/null",
            ])
            .current_dir(dev.get_current_dir().unwrap())
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .stdin(Stdio::piped())
            .stdout(File::create(&shown).unwrap())
            .spawn()
            .expect("`script` of util-linux, which gives programs a terminal");
        Self { child, shown }
    }

    /// What somebody in front of it sees now.
    fn screen(&self) -> String {
        let mut terminal = vt100::Parser::new(ROWS, COLUMNS, 0);
        terminal.process(&fs::read(&self.shown).unwrap());
        // Row by row: what fills one to its end goes on in the next as if it was one line.
        let rows = terminal.screen().rows(0, COLUMNS.get());
        rows.collect::<Vec<_>>().join("\n")
    }

    /// The row of an edge: its cells after source and target. The table has to be there once, whatever was drawn before.
    fn row(&self, source: &str, target: &str) -> Result<Vec<String>, String> {
        let screen = self.screen();
        let tables = screen.matches("SOURCE HEAD").count();
        if tables != 1 {
            return Err(format!("{tables} tables:\n{screen}"));
        }
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        let rows = screen.lines().map(cells);
        let mut rows = rows.filter(|row: &Vec<String>| {
            row.get(1).is_some_and(|cell| cell == source)
                && row.get(2).is_some_and(|cell| cell == target)
        });
        match (rows.next(), rows.next()) {
            (Some(row), None) => Ok(row[3..].to_vec()),
            _ => Err(format!("not one row of {source}->{target}:\n{screen}")),
        }
    }

    #[track_caller]
    fn shows(&self, source: &str, target: &str, cells: &[&str]) {
        eventually(&format!("{source}->{target} shows {cells:?}"), || {
            let row = self.row(source, target)?;
            if row.starts_with(&cells.iter().map(ToString::to_string).collect::<Vec<_>>()) {
                Ok(())
            } else {
                Err(self.screen())
            }
        });
    }

    /// Types Ctrl-C.
    #[track_caller]
    fn interrupt(&mut self) -> ExitStatus {
        self.child.stdin.take().unwrap().write_all(b"\x03").unwrap();
        eventually("dev ends", || {
            self.child.try_wait().unwrap().ok_or_else(|| self.screen())
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_table_of_edges_is_drawn_in_place_until_ctrl_c() {
    let two = Network::of_copied_example("two-locations", 2);
    let mut terminal = Terminal::of(&two);
    terminal.shows("eu", "us", &["Streaming", "0", "0", "0"]);
    terminal.shows("us", "eu", &["Streaming", "0", "0", "0"]);
    two.append("eu", "First", &[]);
    terminal.shows("eu", "us", &["Streaming", "1", "1", "0"]);
    two.ok(&["edge", "cut", "eu", "us"]);
    terminal.shows("eu", "us", &["Unreachable", "(cut)"]);
    // What is said goes above the table, which stays whole.
    two.edit("manifests.yaml", "kind: ReplicationLink", "kind: Nonsense");
    eventually("the complaint stands above the table", || {
        let screen = terminal.screen();
        let complaint = screen.find("keeping the old plan");
        match (complaint, screen.find("SOURCE HEAD")) {
            (Some(above), Some(table)) if above < table => Ok(()),
            _ => Err(screen),
        }
    });
    terminal.shows("eu", "us", &["Unreachable", "(cut)"]);
    let status = terminal.interrupt();
    let screen = terminal.screen();
    assert!(status.success(), "{status}\n{screen}");
    // The last table stays, once, and what is said then stands below it on lines of its own.
    terminal.shows("eu", "us", &["Unreachable", "(cut)"]);
    let lines: Vec<&str> = screen.lines().map(str::trim).collect();
    let at = |wanted: &str| lines.iter().position(|line| line.starts_with(wanted));
    let order = [
        at("keeping the old plan"),
        at("LOG     SOURCE"),
        at("stopping;"),
        at("stopped;"),
    ];
    assert!(order.is_sorted() && order[0].is_some(), "{screen}");
    // The lines about changes are for what is no terminal.
    assert!(!screen.contains("eu->us is"), "{screen}");
}
