//! What counts as the same output: everything but what no two runs have in common (times, hashes, process ids, incarnations after a loss,
//! widths of columns).

use std::sync::LazyLock;

use regex::Regex;

/// Patterns and what is compared in their place, in this order.
static MASKS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"\x1b\[[0-9;]*[A-Za-z]", ""),
        (r"\s+", " "),
        (r#"(process |"pid": )\d+"#, "$1<pid>"),
        // The last column of a row of locations.
        (
            r"^(\S+ \S+ (?:Starting|Recovering|Serving|Standby|Stopping) .*) \d+$",
            "$1 <pid>",
        ),
        (
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?",
            "<time>",
        ),
        (r"\b[0-9a-f]{16,}\b", "<hash>"),
        (r"[A-Za-z0-9+/]{43}=", "<hash>"),
        (r"\d+(\.\d+)? ?(ns|µs|ms|s|KiB|MiB)\b", "<amount>"),
        (r"\b\d{4,}\b", "<number>"),
    ]
    .into_iter()
    .filter_map(|(pattern, mask)| Some((Regex::new(pattern).ok()?, mask)))
    .collect()
});

/// States of an edge in motion: which one a command sees in passing is chance.
static MOVING: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b(Pending|Connecting|CatchingUp|Streaming|Unreachable)\b").ok());

/// How strictly states of edges are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    /// As written.
    Exact,
    /// Any moving state for any other.
    Moving,
}

/// A line as it is compared.
fn mask(line: &str, states: States) -> String {
    let mut line = line.to_owned();
    for (pattern, mask) in MASKS.iter() {
        line = pattern.replace_all(&line, *mask).into_owned();
    }
    if let (States::Moving, Some(moving)) = (states, &*MOVING) {
        line = moving.replace_all(&line, "<state>").into_owned();
    }
    line.trim().to_owned()
}

/// True when `seen` is what `shown` promises.
pub fn matches(shown: &[String], seen: &[String], states: States) -> bool {
    let shown: Vec<String> = masked(shown, states);
    let seen: Vec<String> = masked(seen, states);
    lines_match(&shown, &seen)
}

/// True when `seen` begins with what `shown` promises.
pub fn begins(shown: &[String], seen: &[String], states: States) -> bool {
    let mut open = shown.to_vec();
    open.push("...".to_owned());
    matches(&open, seen, states)
}

fn masked(lines: &[String], states: States) -> Vec<String> {
    let mut lines: Vec<String> = lines.iter().map(|line| mask(line, states)).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

fn lines_match(shown: &[String], seen: &[String]) -> bool {
    match shown.split_first() {
        None => seen.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=seen.len()).any(|skipped| lines_match(rest, &seen[skipped..]))
        }
        Some((first, rest)) => seen
            .split_first()
            .is_some_and(|(line, others)| line_matches(first, line) && lines_match(rest, others)),
    }
}

fn line_matches(shown: &str, seen: &str) -> bool {
    let mut parts = shown.split("...").map(str::trim);
    let Some(mut rest) = parts.next().and_then(|first| seen.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    fn same(shown: &str, seen: &str) -> bool {
        matches(&lines(shown), &lines(seen), States::Exact)
    }

    #[test]
    fn overlooks_what_no_two_runs_share() {
        assert!(same(
            "1  us#1/1  2026-01-02 03:04:05.678  pid 17023",
            "1 us#1/1 2027-12-31 23:59:59.001    pid 4711"
        ));
        assert!(same(
            "orders  eu  Serving  1  1  eu#1:1  15074",
            "orders  eu  Serving  1  1  eu#1:1  824"
        ));
        assert!(same(
            "hash 13174e57f1635d10ef34cb258c47ad18",
            "hash 0000000000000000000000000000000a"
        ));
    }

    #[test]
    fn sees_another_id_another_count_and_a_missing_line() {
        assert!(!same("us#1/1", "us#1/2"));
        assert!(!same("a\nb", "a"));
        assert!(!same("a", "a\nb"));
        assert!(!same("eu#1/3", "eu#2/3"));
    }

    #[test]
    fn dots_stand_for_lines_and_for_text() {
        assert!(same("...\nlast", "one\ntwo\nlast"));
        assert!(same("first\n...", "first"));
        assert!(same(
            "waits ... seconds for ... events",
            "waits 3 seconds for 12 events"
        ));
        assert!(!same("waits ... seconds", "waits 3 minutes"));
        assert!(!same("...\nlast", "one\ntwo"));
    }

    #[test]
    fn a_beginning_is_enough_while_a_program_runs() {
        assert!(begins(&lines("a"), &lines("a\nb"), States::Exact));
        assert!(!begins(&lines("a\nb"), &lines("a"), States::Exact));
    }

    #[test]
    fn passing_states_of_edges_are_alike_only_where_that_is_asked_for() {
        let (shown, seen) = (
            lines("eu us cut Streaming (cut)"),
            lines("eu us cut Unreachable (cut)"),
        );
        assert!(matches(&shown, &seen, States::Moving));
        assert!(!matches(&shown, &seen, States::Exact));
    }
}
