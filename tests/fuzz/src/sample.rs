//! Well-formed values out of raw bytes: what comes past the decoders.

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use tidelog_model::{
    Cause, Event, EventId, HybridTime, Incarnation, LocationName, Origin, VectorTime, caps,
};

/// A location that is known to be one.
pub fn location(name: &str) -> LocationName {
    LocationName::new(name).expect("a name")
}

/// An origin by its parts.
pub fn origin(name: &str, incarnation: u32) -> Origin {
    Origin::new(location(name), Incarnation(incarnation))
}

/// A short text, sometimes empty.
pub fn text(u: &mut Unstructured<'_>) -> Result<String> {
    let length = u.int_in_range(0..=12)?;
    (0..length)
        .map(|_| Ok(*u.choose(&['a', 'b', '-', '/', '#', ' ', '0', 'ä', '\u{1f600}', '"'])?))
        .collect()
}

/// A number at which something tends to happen.
pub fn number(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match u.int_in_range(0..=9)? {
        0 => caps::SEQUENCE_MAX,
        1 => u.int_in_range(0..=u64::MAX)?,
        _ => u.int_in_range(0..=12)?,
    })
}

/// An event with an id and a context, everything else drawn.
pub fn event(u: &mut Unstructured<'_>, id: EventId, context: VectorTime) -> Result<Event> {
    let mut metadata = BTreeMap::new();
    for _ in 0..u.int_in_range(0..=2)? {
        metadata.insert(text(u)?, text(u)?);
    }
    let destinations = (0..u.int_in_range(0..=2)?)
        .map(|_| text(u))
        .collect::<Result<_>>()?;
    let caused_by = if u.ratio(1, 4)? {
        Some(Cause {
            log: text(u)?,
            id: EventId::new(origin("eu", 1), number(u)?.clamp(1, caps::SEQUENCE_MAX)),
            output_index: u.arbitrary()?,
        })
    } else {
        None
    };
    let length = u.int_in_range(0..=40)?;
    let payload: Bytes = u.bytes(length.min(u.len()))?.to_vec().into();
    Ok(Event {
        id,
        context,
        time: HybridTime {
            micros: u.arbitrary()?,
            logical: u.arbitrary()?,
        },
        event_type: text(u)?,
        schema_version: u.arbitrary()?,
        content_type: (*u.choose(&["", "application/json", "image/png"])?).to_owned(),
        payload,
        emitter_id: text(u)?,
        aggregate_id: text(u)?,
        destinations,
        metadata,
        caused_by,
        delivery_id: text(u)?,
        request_id: text(u)?,
        request_index: u.int_in_range(0..=3)?,
        request_count: u.int_in_range(0..=3)?,
        application_version: u
            .choose(&["", "1", "1.0", "2.7", "99"])?
            .parse()
            .expect("a version"),
        plan_id: u.arbitrary()?,
    })
}

/// A plain event, for seeds.
pub fn plain(id: &str, context: &str) -> Event {
    let bytes: Vec<u8> = (0..200u8).collect();
    let mut u = Unstructured::new(&bytes);
    let id = id.parse().expect("an id");
    let context = context.parse().expect("a vector");
    let mut event = event(&mut u, id, context).expect("enough bytes");
    "OrderPlaced".clone_into(&mut event.event_type);
    "order-1".clone_into(&mut event.aggregate_id);
    event
}
