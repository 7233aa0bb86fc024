//! Limits, from the files that hold them: values from the compiler, words from the comments.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use tidelog_filter::limits as filter;
use tidelog_model::caps;

use super::cell;

macro_rules! values {
    ($module:ident: $( $name:ident ),* $(,)?) => {
        // Some are signed, some narrower; none is negative or beyond 64 bits.
        BTreeMap::from([$( (stringify!($name), u128::try_from($module::$name)?) ),*])
    };
}

const HEAD: &str = "\
# Limits

All limits are inclusive maxima unless the row says otherwise. Those of the first table are the same at every location and in every store, and
apply to replicated events as to local ones: no setting changes them, but for batches and queues, where the row is the default. What exceeds a limit is refused; the message names field, value and limit.
What a location may choose for itself is in the [configuration](configuration.md); `Describe` answers the limits in force of requests, messages, batches, queues and the tail.

Canonical bytes are the one byte form of an event that is digested, stored and sent: payload, keys, metadata, context.
";

/// The page.
pub fn page() -> Result<String> {
    let mut out = HEAD.to_owned();
    let of_log = values!(caps: LOCATION_NAME_BYTES_MAX, LOG_NAME_BYTES_MAX, KEY_BYTES_MAX, CONTENT_TYPE_BYTES_MAX,
        APPLICATION_VERSION_BYTES_MAX, DESTINATIONS_MAX, METADATA_ENTRIES_MAX, METADATA_VALUE_BYTES_MAX, EVENT_BYTES_MAX,
        REQUEST_EVENTS_MAX, REQUEST_BYTES_MAX, SEQUENCE_MAX, VECTOR_ENTRIES_MAX, VECTOR_ENTRIES_WARN, LINEAGE_ENTRIES_MAX,
        SELECTOR_ITEMS_MAX, CEL_BYTES_MAX, BATCH_EVENTS_MAX, BATCH_BYTES_MAX, QUEUE_REQUESTS_MAX, QUEUE_BYTES_MAX,
        CLOCK_AHEAD_MICROS_MAX, REQUEST_ID_KEEP_MILLIS, REQUEST_IDS_MIN, REQUEST_IDS_MAX);
    table(
        &mut out,
        "The log",
        include_str!("../../../../sidecar/model/src/caps.rs"),
        of_log,
    )?;
    out.push_str(
        "\nText is UTF-8 without U+0000. Names of locations and logs are DNS labels: `a` to `z`, `0` to `9` and `-`, neither first nor last a `-`.\n",
    );
    let of_filters = values!(filter: EVALUATOR_VERSION, NODES_MAX, LEVELS_MAX, LIST_ITEMS_MAX, JSON_BYTES_MAX, TEXT_BYTES_MAX,
        STEPS_MAX, REGEX_BYTES_MAX, REGEX_LEVELS_MAX);
    table(
        &mut out,
        "Filters and selectors",
        include_str!("../../../../sidecar/filter/src/limits.rs"),
        of_filters,
    )?;
    out.push_str(
        "\nComprehensions (`all`, `exists`, `exists_one`, `map`, `filter`) are not nested. The limits of size are checked when a filter is loaded; \
         lists, JSON, texts and steps while it runs, where exceeding one counts as an error of the filter (`onError`).\n",
    );
    Ok(out)
}

/// The public constants of `source` with their values; an error when one of them is missing in `values`.
fn table(
    out: &mut String,
    title: &str,
    source: &str,
    values: BTreeMap<&'static str, u128>,
) -> Result<()> {
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        out,
        "\n## {title}\n\n| name | value | meaning |\n|---|---|---|\n"
    );
    let mut words = String::new();
    let mut told = 0;
    for line in source.lines() {
        if let Some(more) = line.strip_prefix("/// ") {
            words.push_str(more);
            words.push(' ');
        } else if let Some(rest) = line.strip_prefix("pub const ") {
            let (name, _) = rest.split_once(':').context("a constant without a type")?;
            let value = values.get(name).with_context(|| {
                format!("{name} is missing in tests/docs/src/reference/limits.rs")
            })?;
            let _ = writeln!(out, "| `{name}` | {} | {} |", grouped(*value), cell(&words));
            told += 1;
            words.clear();
        } else {
            words.clear();
        }
    }
    ensure!(told == values.len(), "{title}: a value without a constant");
    Ok(())
}

/// Digits in groups of three.
fn grouped(value: u128) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
