//! What a process makes of a witness that an operator keeps.

use tidelog_core::{Kept, ProvenHead, RecordStanding, Recorder, Witness};
use tidelog_model::{ChainHash, Incarnation, WitnessRecord};
use tidelog_store::InstanceId;

const FIRST: Incarnation = Incarnation(1);

fn server(number: u32) -> InstanceId {
    InstanceId {
        system: "s".into(),
        timeline: "1".into(),
        started: Some(number.to_string()),
    }
}

fn at(sequence: u64) -> ProvenHead {
    ProvenHead {
        sequence,
        hash: ChainHash([sequence as u8; 32]),
    }
}

/// Writes a wish if it may be.
fn record(there: &mut Option<WitnessRecord>, wish: Option<&WitnessRecord>) {
    let wish = wish.unwrap();
    if wish.may_replace(there.as_ref()) {
        *there = Some(wish.clone());
    }
}

/// A process that serves as writer 7 on server 1 in the first incarnation, and what is recorded.
fn served() -> (Recorder, Option<WitnessRecord>) {
    let mut there = None;
    let mut process = Recorder::new(1);
    assert_eq!(process.look(None, None), None);
    process.fix(FIRST);
    record(&mut there, process.wish());
    process.told(there.clone(), None);
    assert_eq!(process.standing(), RecordStanding::Recorded);
    process.begin(7, FIRST, &server(1));
    assert_eq!(process.standing(), RecordStanding::Waiting);
    record(&mut there, process.wish());
    process.told(there.clone(), None);
    assert_eq!(process.standing(), RecordStanding::Recorded);
    (process, there)
}

fn kept(process: &Recorder, writer: u64, incarnation: Incarnation) -> Kept {
    Kept {
        stands_on: process.basis().map(|b| b.name),
        witness: Witness {
            incarnation,
            instance: Some(server(1)),
            clean_stop: None,
            committed: Some(at(3)),
            writer: Some(writer),
        },
    }
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let (mut process, _) = served();
    process.stop(at(9)).unwrap();
    let record = process.wish().unwrap();
    assert_eq!(
        WitnessRecord::read(&record.text()).unwrap().as_ref(),
        Some(record)
    );
    assert_eq!(WitnessRecord::read(" \n").unwrap(), None);
    for wrong in [
        "{}",
        "{\"revision\": 1}",
        &record.text().replace("0909", "09g9"),
        &record.text().replace("0909", ""),
    ] {
        assert!(WitnessRecord::read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn only_the_first_of_two_claims_finds_the_location_new() {
    let mut there = None;
    let (mut one, mut other) = (Recorder::new(1), Recorder::new(2));
    one.look(None, None);
    other.look(None, None);
    one.fix(FIRST);
    other.fix(FIRST);
    record(&mut there, one.wish());
    record(&mut there, other.wish());
    one.told(there.clone(), None);
    other.told(there, None);
    assert_eq!(one.standing(), RecordStanding::Recorded);
    assert_eq!(other.standing(), RecordStanding::Overtaken);
}

#[test]
fn a_number_is_fixed_once_in_a_start_and_never_by_who_has_decided_by_the_past() {
    let (_, mut there) = served();
    let before = there.clone();
    let mut raises = Recorder::new(2);
    raises.look(there.clone(), None);
    raises.fix(Incarnation(50));
    record(&mut there, raises.wish());
    raises.told(there.clone(), None);
    assert_eq!(raises.standing(), RecordStanding::Recorded);
    let fixed = there.clone().unwrap();
    assert_eq!(
        (fixed.incarnation, fixed.writer, fixed.instance),
        (Incarnation(50), None, None)
    );
    raises.fix(Incarnation(50));
    assert_eq!(raises.standing(), RecordStanding::Recorded, "at once");
    // Its clock goes back, and what is mounted lags: it would draw the same number.
    let mut late = Recorder::new(3);
    late.look(before.clone(), None);
    late.fix(Incarnation(50));
    record(&mut there, late.wish());
    late.told(there.clone(), before.as_ref());
    assert_eq!(late.standing(), RecordStanding::Overtaken);
    assert_eq!(
        late.look(before, None).unwrap().incarnation,
        Incarnation(50)
    );
}

#[test]
fn what_is_recorded_stays_true_while_no_new_number_begins() {
    let (mut process, mut there) = served();
    process.look(there.clone(), None);
    process.fix(FIRST);
    record(&mut there, process.wish());
    let seen = Recorder::new(2).look(there, None).unwrap();
    assert_eq!((seen.writer, seen.instance), (Some(7), Some(server(1))));
}

#[test]
fn a_folder_that_stands_on_what_nobody_could_read_proves_nothing() {
    let unreadable = Some(WitnessRecord::UNREADABLE);
    let mut process = Recorder::new(1);
    process.look(unreadable.clone(), None);
    process.begin(7, Incarnation(50), &server(1));
    let kept = kept(&process, 7, Incarnation(50));
    let seen = Recorder::new(2).look(unreadable, Some(&kept)).unwrap();
    assert_eq!((seen.committed, seen.instance), (None, None));
}

#[test]
fn who_has_decided_by_the_past_looks_again_and_sees_the_present() {
    let (first, mut there) = served();
    let lagging = first.basis().cloned();
    let mut second = Recorder::new(2);
    second.look(lagging.clone(), None).unwrap();
    second.begin(8, FIRST, &server(2));
    record(&mut there, second.wish());

    let mut third = Recorder::new(3);
    assert_eq!(
        third.look(lagging.clone(), None).unwrap().instance,
        Some(server(1))
    );
    third.begin(9, FIRST, &server(1));
    record(&mut there, third.wish());
    third.told(there.clone(), lagging.as_ref());
    assert_eq!(third.standing(), RecordStanding::Overtaken);
    // What is mounted still lags.
    let seen = third.look(lagging.clone(), None).unwrap();
    assert_eq!((seen.instance, seen.writer), (Some(server(2)), Some(8)));
    third.begin(9, FIRST, &server(1));
    record(&mut there, third.wish());
    third.told(there, lagging.as_ref());
    assert_eq!(third.standing(), RecordStanding::Recorded);
}

#[test]
fn a_file_that_is_mounted_later_counts_more_than_an_earlier_word() {
    let (first, mut there) = served();
    let mut second = Recorder::new(2);
    second.told(there.clone(), None);
    let mut third = Recorder::new(3);
    third.look(there.clone(), None);
    third.begin(9, FIRST, &server(3));
    record(&mut there, third.wish());
    assert_eq!(second.look(there, None).unwrap().instance, Some(server(3)));
    assert_eq!(
        second.look(first.basis().cloned(), None).unwrap().instance,
        Some(server(1)),
        "the word is newer than what is mounted"
    );
}

#[test]
fn a_wish_that_comes_late_is_built_upon_in_the_same_start_and_passed_over_in_the_next() {
    let (_, there) = served();
    let mut process = Recorder::new(2);
    let mut now = there.clone();
    process.look(there.clone(), None);
    process.begin(8, FIRST, &server(1));
    let late = process.wish().cloned();
    process.begin(8, Incarnation(50), &server(1));
    // Only now somebody writes what was wished first.
    record(&mut now, late.as_ref());
    process.told(now.clone(), None);
    assert_eq!(process.standing(), RecordStanding::Waiting);
    record(&mut now, process.wish());
    process.told(now.clone(), None);
    assert_eq!(process.standing(), RecordStanding::Recorded);
    assert_eq!(now.unwrap().incarnation, Incarnation(50));

    let mut now = there.clone();
    process = Recorder::new(2);
    process.look(there.clone(), None);
    process.begin(8, FIRST, &server(1));
    let late = process.wish().cloned();
    process.look(there, None);
    process.begin(9, FIRST, &server(1));
    record(&mut now, late.as_ref());
    process.told(now, None);
    assert_eq!(process.standing(), RecordStanding::Overtaken);
}

#[test]
fn the_folder_of_a_pod_counts_until_somebody_else_is_recorded() {
    let (process, mut there) = served();
    let kept = kept(&process, 7, FIRST);
    let look =
        |there: &Option<WitnessRecord>| Recorder::new(9).look(there.clone(), Some(&kept)).unwrap();
    assert_eq!(look(&there).committed, Some(at(3)));
    let mut stopped = process.clone();
    stopped.stop(at(3)).unwrap();
    let mut after = there.clone();
    record(&mut after, stopped.wish());
    assert_eq!(look(&after).committed, Some(at(3)));
    assert_eq!(look(&after).clean_stop, Some(at(3)));

    let mut other = Recorder::new(2);
    other.look(there.clone(), None);
    other.begin(8, FIRST, &server(1));
    record(&mut there, other.wish());
    let seen = look(&there);
    assert_eq!((seen.committed, seen.writer), (None, Some(8)));
}

#[test]
fn a_writer_that_nobody_recorded_is_known_to_its_pod_by_what_it_stands_on() {
    let (_, there) = served();
    let mut process = Recorder::new(2);
    process.look(there.clone(), None);
    process.begin(8, Incarnation(50), &server(1));
    let kept = kept(&process, 8, Incarnation(50));
    let seen = Recorder::new(3).look(there, Some(&kept)).unwrap();
    assert_eq!(
        (seen.incarnation, seen.committed),
        (Incarnation(50), Some(at(3)))
    );
}

#[test]
fn a_record_of_before_an_incarnation_that_the_folder_knows_proves_nothing() {
    // The stop of the first writer is recorded late, after another one has served of whom nobody knew.
    let (mut first, mut there) = served();
    let before = there.clone();
    first.stop(at(0)).unwrap();
    let mut unrecorded = Recorder::new(2);
    unrecorded.look(before, None);
    unrecorded.begin(8, Incarnation(50), &server(1));
    let kept = kept(&unrecorded, 8, Incarnation(50));
    record(&mut there, first.wish());
    let seen = Recorder::new(3).look(there, Some(&kept)).unwrap();
    let nothing = Witness {
        incarnation: Incarnation(50),
        ..Witness::default()
    };
    assert_eq!(seen, nothing);
}

#[test]
fn a_witness_that_was_deleted_is_not_one_that_never_was() {
    // It has served before anything was recorded; since then others were, and all of that was deleted.
    let mut process = Recorder::new(1);
    process.look(None, None);
    process.begin(7, Incarnation(50), &server(1));
    let kept = kept(&process, 7, Incarnation(50));
    let seen = Recorder::new(2).look(None, Some(&kept)).unwrap();
    assert_eq!(seen.committed, None);
    assert_eq!(seen.incarnation, Incarnation(50), "but it has existed");
    // The word that nothing is recorded counts, whatever is mounted still.
    let (mut process, there) = served();
    process.told(None, there.as_ref());
    assert_eq!(process.look(there, None), None);
}

#[test]
fn a_stop_is_recorded_for_the_writer_that_was_recorded_last() {
    let (mut process, mut there) = served();
    let mut other = Recorder::new(2);
    other.look(there.clone(), None);
    other.begin(8, FIRST, &server(1));
    record(&mut there, other.wish());
    // It does not know of the other one.
    process.stop(at(3)).unwrap();
    record(&mut there, process.wish());
    process.told(there.clone(), None);
    assert_eq!(process.standing(), RecordStanding::Overtaken);
    assert_eq!(there.as_ref().unwrap().clean_stop, None);
    assert!(process.stop(at(3)).is_err(), "now it does");
    other.told(there.clone(), None);
    other.stop(at(4)).unwrap();
    record(&mut there, other.wish());
    let there = there.unwrap();
    assert_eq!(there.clean_stop.unwrap().sequence, 4);
    assert_eq!(there.writer, Some(8));
}
