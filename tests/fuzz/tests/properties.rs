//! Every target on stable, in every run of the tests: seeds, mutated seeds, noise.
//!
//! `TIDELOG_FUZZ_SEED` chooses other inputs, `TIDELOG_FUZZ_TIMES` multiplies their number.

use std::env;
use std::fmt::Display;
use std::str::FromStr;

use tidelog_fuzz::{TARGETS, fails, play, regressions};

fn set<T: FromStr<Err: Display>>(variable: &str, otherwise: T) -> T {
    match env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|e| unreachable!("{variable}={text}: {e}")),
        Err(_) => otherwise,
    }
}

fn holds(name: &str) {
    let target = TARGETS
        .iter()
        .find(|t| t.name == name)
        .expect("a target of the list");
    for (file, input) in regressions(target).expect("files of this crate") {
        if let Some(message) = fails(target, &input) {
            unreachable!("{}: {message}", file.display());
        }
    }
    let times: u32 = set("TIDELOG_FUZZ_TIMES", 1);
    let start = std::time::Instant::now();
    let played = play(target, set("TIDELOG_FUZZ_SEED", 1), target.cases * times);
    if let Err(failure) = played {
        unreachable!("{failure}");
    }
    eprintln!(
        "{name}: {} cases in {:?}",
        target.cases * times,
        start.elapsed()
    );
}

macro_rules! each_holds {
    ($($test:ident: $target:literal),+ $(,)?) => {
        $(#[test]
        fn $test() {
            holds($target);
        })+

        #[test]
        fn every_target_is_run_here() {
            let run = [$($target),+];
            assert!(TARGETS.iter().all(|t| run.contains(&t.name)));
            assert_eq!(run.len(), TARGETS.len());
        }
    };
}

each_holds! {
    messages_come_back_or_are_refused_by_field: "wire",
    canonical_bytes_are_the_only_ones_of_an_event: "events",
    a_value_has_one_text: "texts",
    manifests_are_planned_or_refused_with_their_line: "manifests",
    filters_stay_within_their_bounds: "filters",
    payloads_are_judged_whatever_they_are: "filter-payloads",
    configurations_come_back_or_are_refused_by_field: "configuration",
    a_changed_row_is_refused_by_its_name: "rows",
    a_changed_row_of_postgresql_is_refused_by_its_name: "rows-postgres",
    a_damaged_witness_tells_what_was_recorded_or_nothing: "witness",
    what_is_changed_on_its_way_is_never_taken_for_whole: "sealed",
    calls_are_answered_and_others_go_on: "calls",
    a_hostile_source_stalls_its_own_edge_at_most: "hostile-source",
    a_hostile_target_gets_what_it_may_have: "hostile-target",
}
