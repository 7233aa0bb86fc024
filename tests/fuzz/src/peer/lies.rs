//! Values that are right most of the time: a peer that is wrong everywhere is refused at once.

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use tidelog_core::{Frame, FrameEvent};
use tidelog_model::{
    ChainHash, EventId, Incarnation, Lineage, LineageEntry, Origin, VectorTime, canonical, caps,
};
use tidelog_store::Progress;

use crate::sample;

/// Incarnations that a peer invents for each location: together they fit a vector.
const ORIGINS_MAX: u32 = 40;

/// Mostly the truth.
pub fn mostly<T>(
    u: &mut Unstructured<'_>,
    truth: T,
    lie: impl FnOnce(&mut Unstructured<'_>) -> Result<T>,
) -> Result<T> {
    if u.ratio(1, 8)? { lie(u) } else { Ok(truth) }
}

/// Anything.
pub fn any<T: for<'a> Arbitrary<'a>>(u: &mut Unstructured<'_>) -> Result<T> {
    u.arbitrary()
}

/// A hash of nothing in particular.
pub fn hash(u: &mut Unstructured<'_>) -> Result<ChainHash> {
    Ok(ChainHash([u.arbitrary()?; 32]))
}

/// An origin: of the peer, of others that are held here, of this location in any of its lives, of nobody.
pub fn origin(u: &mut Unstructured<'_>) -> Result<Origin> {
    let name = *u.choose(&["eu", "eu", "ap", "us", "far"])?;
    let incarnation = match u.int_in_range(0..=5)? {
        0 => u.int_in_range(0..=ORIGINS_MAX)?,
        1 => u32::MAX,
        _ => 1,
    };
    Ok(sample::origin(name, incarnation))
}

/// A vector of a few entries, sometimes of as many as a message may have.
pub fn vector(u: &mut Unstructured<'_>) -> Result<VectorTime> {
    if u.ratio(1, 12)? {
        let first: u16 = u.arbitrary()?;
        let name = *u.choose(&["eu", "far"])?;
        let origins = (0..ORIGINS_MAX)
            .map(|n| sample::origin(name, 1 + (u32::from(first) + n) % ORIGINS_MAX));
        return Ok(origins.map(|origin| (origin, 1)).collect());
    }
    (0..u.int_in_range(0..=3)?)
        .map(|_| Ok((origin(u)?, sample::number(u)?.clamp(1, caps::SEQUENCE_MAX))))
        .collect()
}

/// A lineage of the peer.
pub fn lineage(u: &mut Unstructured<'_>) -> Result<Lineage> {
    let mut entries = vec![LineageEntry {
        incarnation: Incarnation(1),
        base: 0,
    }];
    for _ in 0..u.int_in_range(0..=2)? {
        let last = entries.last().map_or(0, |e| e.incarnation.0);
        entries.push(LineageEntry {
            incarnation: Incarnation(last.saturating_add(1 + u.int_in_range(0..=3)?)),
            base: sample::number(u)?.min(caps::SEQUENCE_MAX),
        });
    }
    Ok(Lineage::new(entries).unwrap_or_default())
}

/// An event that a decoder lets through.
pub fn event(u: &mut Unstructured<'_>) -> Result<Option<FrameEvent>> {
    let id = EventId::new(origin(u)?, sample::number(u)?.clamp(1, caps::SEQUENCE_MAX));
    let context = vector(u)?.filtered(|o| *o != id.origin);
    let event = sample::event(u, id, context)?;
    let bytes: Bytes = canonical::encode(&event).into();
    Ok(FrameEvent::decode(&bytes).ok())
}

/// A frame that goes on at `held` most of the time. `next` is what the peer would write next.
pub fn frame(
    u: &mut Unstructured<'_>,
    stream: u64,
    incarnation: Incarnation,
    held: &Progress,
    next: &mut u64,
) -> Result<Frame> {
    let mut events = Vec::new();
    let flood = u.ratio(1, 40)?;
    if flood {
        let first: u16 = u.arbitrary()?;
        for n in 0..u.int_in_range(1..=ORIGINS_MAX)? {
            let mut event = (*sample_plain().event).clone();
            let incarnation = 1 + (u32::from(first) + n) % ORIGINS_MAX;
            event.id = EventId::new(sample::origin("far", incarnation), 1);
            let bytes: Bytes = canonical::encode(&event).into();
            events.extend(FrameEvent::decode(&bytes).ok());
        }
    } else {
        for _ in 0..u.int_in_range(0..=3)? {
            let Some(mut event) = event(u)? else {
                continue;
            };
            // What an honest source would send: its own, rising.
            if u.ratio(2, 3)? {
                let mut honest = (*event.event).clone();
                honest.id = EventId::new(sample::origin("eu", 1), *next);
                honest.context = VectorTime::new();
                "Forwarded".clone_into(&mut honest.event_type);
                honest.metadata.clear();
                honest.destinations.retain(|d| !d.is_empty());
                honest.caused_by = None;
                *next += 1;
                let bytes: Bytes = canonical::encode(&honest).into();
                event = FrameEvent::decode(&bytes).unwrap_or(event);
            }
            events.push(event);
        }
    }
    let mut covered = if u.ratio(1, 8)? {
        VectorTime::new()
    } else {
        let all = events.iter().map(|e| e.event.vector_time());
        all.fold(VectorTime::new(), |sum, one| sum.merged(&one))
    };
    if u.ratio(1, 3)? {
        covered.merge(&vector(u)?);
    }
    // No decoder lets more through.
    let mut room = caps::VECTOR_ENTRIES_MAX;
    covered = covered.filtered(|_| {
        room = room.saturating_sub(1);
        room > 0
    });
    let from = mostly(u, held.position, sample::number)?;
    let extra = u.int_in_range(0..=2u64)?;
    let to = mostly(
        u,
        from.saturating_add(events.len() as u64 + extra),
        sample::number,
    )?;
    let still = to == from;
    let hash_from = mostly(u, held.hash, hash)?;
    Ok(Frame {
        stream: mostly(u, stream, any)?,
        incarnation: mostly(u, incarnation, |u| Ok(Incarnation(u.arbitrary()?)))?,
        from,
        to,
        hash_from,
        hash_to: if still { hash_from } else { hash(u)? },
        events,
        covered,
        head: mostly(u, to, any)?,
        filtered: mostly(u, 0, |u| Ok(u.arbitrary::<u64>()? >> 8))?,
    })
}

fn sample_plain() -> FrameEvent {
    let bytes: Bytes = canonical::encode(&sample::plain("far#1/1", "")).into();
    FrameEvent::decode(&bytes).expect("a plain event")
}
