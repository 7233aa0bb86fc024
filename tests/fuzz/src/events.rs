//! Canonical bytes of events: what peers forward and what digests are made of.

use arbitrary::Unstructured;
use bytes::Bytes;
use tidelog_core::FrameEvent;
use tidelog_model::{Digest, VectorTime, canonical, caps};

use crate::sample;

/// Bytes are either the one encoding of an event, or refused: what is decoded encodes to the very bytes, so that a digest over them
/// is a digest of the event. And whatever an event holds comes back from its bytes.
pub fn canonical_bytes(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(event) = canonical::decode(&bytes) {
        let again = canonical::encode(&event);
        assert!(
            again == data,
            "decoded bytes are not those that are encoded: {event:?}"
        );
        assert!(event.context.len() <= caps::VECTOR_ENTRIES_MAX);
        let received = FrameEvent::decode(&bytes).expect("decoded a moment ago");
        assert_eq!(received.digest, Digest::of(&again));
        // Judged, not trusted: a limit that is broken is an error with its field.
        if let Err(error) = event.check() {
            assert!(!error.field().is_empty(), "{error}");
        }
        let vector = canonical::encode_vector(&event.context);
        assert_eq!(
            canonical::decode_vector(&vector).as_ref(),
            Ok(&event.context)
        );
    }
    if let Ok(vector) = canonical::decode_vector(data) {
        assert!(canonical::encode_vector(&vector) == data);
    }
    drawn(&mut Unstructured::new(data));
}

fn drawn(u: &mut Unstructured<'_>) {
    let event = (|| {
        let context: VectorTime = (0..u.int_in_range(0..=4)?)
            .map(|_| {
                let origin = sample::origin(u.choose(&["ap", "eu", "us"])?, u.arbitrary()?);
                Ok((origin, sample::number(u)?.clamp(1, caps::SEQUENCE_MAX)))
            })
            .collect::<arbitrary::Result<_>>()?;
        let id = tidelog_model::EventId::new(
            sample::origin(u.choose(&["ap", "eu"])?, u.arbitrary()?),
            sample::number(u)?.clamp(1, caps::SEQUENCE_MAX),
        );
        sample::event(u, id, context)
    })();
    let Ok(event) = event else {
        return;
    };
    let bytes: Bytes = canonical::encode(&event).into();
    match canonical::decode(&bytes) {
        Ok(back) => assert_eq!(back, event),
        Err(error) => unreachable!("{error}: {event:?}"),
    }
}

/// Encoded events.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        ("eu#1/1", ""),
        ("eu#1/42", "eu#1:41,us#1:7"),
        ("ap#7/3", "ap#1:50,eu#1:2"),
    ]
    .iter()
    .map(|(id, context)| canonical::encode(&sample::plain(id, context)))
    .collect()
}
