//! Between the messages of the stream machines and the wire.
//!
//! What comes from a peer is judged here for its form only; what it means is judged by the machines. A message that does not have its form
//! ends the stream.

use bytes::Bytes;
use tidelog_core::{
    Credit, Frame, FrameEvent, Heartbeat, Open, Opened, PROTOCOL_VERSION, RefusalKind, Refused,
};
use tidelog_model::{ApplicationVersion, EventId, Incarnation, LocationName, canonical, mutant};
use tidelog_proto::FieldError;
use tidelog_proto::convert::{
    chain_hash_from_wire, digest_from_wire, field, lineage_from_wire, lineage_to_wire,
    micros_from_timestamp, optional_field, required_field, timestamp_from_micros,
};
use tidelog_proto::v1::{self, replication_message::Message};
use tidelog_store::VoidedId;

/// What a stream carries, either way.
#[derive(Debug)]
pub(crate) enum Said {
    Open(Box<Open>),
    Opened(Box<Opened>),
    Refused(Box<Refused>),
    Frame(Box<Frame>),
    Credit(Credit),
    Heartbeat(Heartbeat),
    /// Asks for an event, on a stream.
    Wanted(u64, EventId),
    /// Shows one.
    Shown(u64, FrameEvent),
    /// Has none.
    Absent(u64, EventId),
    Offer(Offer),
}

/// The first message of a source that dials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) log: String,
    pub(crate) source: LocationName,
    pub(crate) target: LocationName,
    pub(crate) protocol_version: u32,
}

impl Offer {
    /// The offer of an edge in the protocol spoken here.
    pub(crate) fn new(log: &str, source: LocationName, target: LocationName) -> Self {
        Self {
            log: log.to_owned(),
            source,
            target,
            protocol_version: PROTOCOL_VERSION,
        }
    }
}

fn location(name: &str, text: &str) -> Result<LocationName, FieldError> {
    LocationName::new(text).map_err(|e| FieldError::new(name, e.to_string()))
}

fn version(text: &str) -> Result<ApplicationVersion, FieldError> {
    text.parse().map_err(|e: tidelog_model::ParseError| {
        FieldError::new("application_version", e.to_string())
    })
}

fn hash_bytes(hash: [u8; 32]) -> Bytes {
    Bytes::copy_from_slice(&hash)
}

impl Said {
    /// As it travels.
    pub(crate) fn to_wire(&self) -> v1::ReplicationMessage {
        v1::ReplicationMessage::from(match self {
            Self::Open(open) => Message::Open(open_to_wire(open)),
            Self::Opened(opened) => Message::Opened(opened_to_wire(opened)),
            Self::Refused(refused) => Message::Refused(refused_to_wire(refused)),
            Self::Frame(frame) => Message::Frame(frame_to_wire(frame)),
            Self::Credit(credit) => Message::Credit(v1::Credit {
                stream_id: credit.stream,
                bytes: credit.bytes,
                version_vector: credit.version_vector.as_ref().map(Into::into),
                covered_vector: credit
                    .covered_vector
                    .as_ref()
                    .filter(|_| !mutant!("credit-loses-its-covered-vector"))
                    .map(Into::into),
                progress: credit.progress,
            }),
            Self::Heartbeat(heartbeat) => Message::Heartbeat(heartbeat_to_wire(heartbeat)),
            Self::Wanted(stream, id) => proof(*stream, v1::proof::Content::Wanted(id.into())),
            Self::Shown(stream, event) => {
                let bytes = canonical::encode(&event.event).into();
                proof(*stream, v1::proof::Content::Event(bytes))
            }
            Self::Absent(stream, id) => proof(*stream, v1::proof::Content::Absent(id.into())),
            Self::Offer(offer) => Message::Offer(v1::Offer {
                log: offer.log.clone(),
                source: offer.source.as_str().to_owned(),
                target: offer.target.as_str().to_owned(),
                protocol_version: offer.protocol_version,
            }),
        })
    }

    /// Reads what a peer sent.
    pub(crate) fn from_wire(wire: v1::ReplicationMessage) -> Result<Self, FieldError> {
        let message = wire.message.ok_or_else(|| FieldError::missing("message"))?;
        Ok(match message {
            Message::Open(open) => Self::Open(Box::new(
                open_from_wire(open).map_err(|e| e.within("open"))?,
            )),
            Message::Opened(opened) => Self::Opened(Box::new(
                opened_from_wire(opened).map_err(|e| e.within("opened"))?,
            )),
            Message::Refused(refused) => Self::Refused(Box::new(
                refused_from_wire(refused).map_err(|e| e.within("refused"))?,
            )),
            Message::Frame(frame) => Self::Frame(Box::new(
                frame_from_wire(frame).map_err(|e| e.within("frame"))?,
            )),
            Message::Credit(credit) => Self::Credit(Credit {
                stream: credit.stream_id,
                bytes: credit.bytes,
                version_vector: optional_field("credit.version_vector", credit.version_vector)?,
                covered_vector: optional_field("credit.covered_vector", credit.covered_vector)?,
                progress: credit.progress,
            }),
            Message::Heartbeat(beat) => {
                Self::Heartbeat(heartbeat_from_wire(beat).map_err(|e| e.within("heartbeat"))?)
            }
            Message::Proof(proof) => proof_from_wire(proof).map_err(|e| e.within("proof"))?,
            Message::Offer(offer) => Self::Offer(Offer {
                source: location("offer.source", &offer.source)?,
                target: location("offer.target", &offer.target)?,
                log: offer.log,
                protocol_version: offer.protocol_version,
            }),
        })
    }
}

fn open_to_wire(open: &Open) -> v1::Open {
    v1::Open {
        stream_id: open.stream,
        log: open.log.clone(),
        target: open.target.as_str().to_owned(),
        source: open.source.as_str().to_owned(),
        position: open.position,
        hash: hash_bytes(open.hash.0),
        source_lineage: lineage_to_wire(&open.source_lineage),
        version_vector: Some((&open.version_vector).into()),
        covered_vector: Some((&open.covered_vector).into()),
        target_lineage: lineage_to_wire(&open.target_lineage),
        source_incarnation_known: open.source_incarnation_known.0,
        spec_hash: open.spec_hash.clone(),
        application_name: open.application_name.clone(),
        application_version: open.application_version.as_str().to_owned(),
        protocol_version: open.protocol_version,
        canonical_version: open.canonical_version,
        credit_bytes: open.credit_bytes,
        filter_hash: open.filter_hash.clone(),
    }
}

fn open_from_wire(wire: v1::Open) -> Result<Open, FieldError> {
    Ok(Open {
        stream: wire.stream_id,
        target: location("target", &wire.target)?,
        source: location("source", &wire.source)?,
        position: wire.position,
        hash: chain_hash_from_wire("hash", &wire.hash)?,
        source_lineage: lineage_from_wire("source_lineage", &wire.source_lineage)?,
        version_vector: required_field("version_vector", wire.version_vector)?,
        covered_vector: required_field("covered_vector", wire.covered_vector)?,
        target_lineage: lineage_from_wire("target_lineage", &wire.target_lineage)?,
        source_incarnation_known: Incarnation(wire.source_incarnation_known),
        application_version: version(&wire.application_version)?,
        log: wire.log,
        spec_hash: wire.spec_hash,
        application_name: wire.application_name,
        protocol_version: wire.protocol_version,
        canonical_version: wire.canonical_version,
        credit_bytes: wire.credit_bytes,
        filter_hash: wire.filter_hash,
    })
}

fn opened_to_wire(opened: &Opened) -> v1::Opened {
    v1::Opened {
        stream_id: opened.stream,
        source_lineage: lineage_to_wire(&opened.lineage),
        position: opened.position,
        hash: hash_bytes(opened.hash.0),
        head: opened.head,
        voided: opened
            .voided
            .iter()
            .map(|v| v1::VoidedId {
                id: Some((&v.id).into()),
                digest: hash_bytes(v.digest.0),
            })
            .collect(),
        spec_hash: opened.spec_hash.clone(),
        application_name: opened.application_name.clone(),
        application_version: opened.application_version.as_str().to_owned(),
        protocol_version: PROTOCOL_VERSION,
        filter_hash: opened.filter_hash.clone(),
    }
}

fn opened_from_wire(wire: v1::Opened) -> Result<Opened, FieldError> {
    let voided = wire
        .voided
        .into_iter()
        .map(|v| {
            Ok(VoidedId {
                id: required_field("voided.id", v.id)?,
                digest: digest_from_wire("voided.digest", &v.digest)?,
            })
        })
        .collect::<Result<_, FieldError>>()?;
    Ok(Opened {
        stream: wire.stream_id,
        lineage: lineage_from_wire("source_lineage", &wire.source_lineage)?,
        position: wire.position,
        hash: chain_hash_from_wire("hash", &wire.hash)?,
        head: wire.head,
        voided,
        spec_hash: wire.spec_hash,
        application_name: wire.application_name,
        application_version: version(&wire.application_version)?,
        filter_hash: wire.filter_hash,
    })
}

fn refused_to_wire(refused: &Refused) -> v1::Refused {
    use v1::RefusalReason as Reason;
    let reason = match refused.kind {
        RefusalKind::PositionMismatch => Reason::PositionMismatch,
        RefusalKind::SourceBehind => Reason::SourceBehind,
        RefusalKind::WrongLocation => Reason::WrongLocation,
        RefusalKind::EdgeNotAllowed => Reason::EdgeNotAllowed,
        RefusalKind::Paused => Reason::Paused,
        RefusalKind::Incompatible => Reason::Incompatible,
        RefusalKind::ApplicationMismatch => Reason::ApplicationMismatch,
        RefusalKind::NotReady => Reason::NotReady,
        RefusalKind::Rejected => Reason::Rejected,
        RefusalKind::Cut => Reason::Cut,
    };
    v1::Refused {
        stream_id: refused.stream,
        reason: reason.into(),
        message: refused.message.clone(),
        lineage: lineage_to_wire(&refused.lineage),
        position: refused.position,
        hash: hash_bytes(refused.hash.0),
    }
}

fn refused_from_wire(wire: v1::Refused) -> Result<Refused, FieldError> {
    use v1::RefusalReason as Reason;
    let kind = match Reason::try_from(wire.reason).unwrap_or(Reason::Unspecified) {
        Reason::PositionMismatch => RefusalKind::PositionMismatch,
        Reason::SourceBehind => RefusalKind::SourceBehind,
        Reason::WrongLocation | Reason::DuplicateLocation => RefusalKind::WrongLocation,
        Reason::EdgeNotAllowed | Reason::SpecMismatch => RefusalKind::EdgeNotAllowed,
        Reason::Paused => RefusalKind::Paused,
        Reason::Incompatible => RefusalKind::Incompatible,
        Reason::ApplicationMismatch => RefusalKind::ApplicationMismatch,
        Reason::NotReady | Reason::Unspecified => RefusalKind::NotReady,
        Reason::Rejected => RefusalKind::Rejected,
        Reason::Cut => RefusalKind::Cut,
    };
    // Only a refusal over positions has a hash to say.
    let hash = if wire.hash.is_empty() {
        tidelog_model::ChainHash::ZERO
    } else {
        chain_hash_from_wire("hash", &wire.hash)?
    };
    Ok(Refused {
        stream: wire.stream_id,
        kind,
        message: wire.message,
        lineage: lineage_from_wire("lineage", &wire.lineage)?,
        position: if mutant!("refusal-loses-its-position") {
            0
        } else {
            wire.position
        },
        hash,
    })
}

fn frame_to_wire(frame: &Frame) -> v1::Frame {
    v1::Frame {
        stream_id: frame.stream,
        source_incarnation: frame.incarnation.0,
        from: frame.from,
        to: frame.to,
        hash_from: hash_bytes(frame.hash_from.0),
        hash_to: hash_bytes(frame.hash_to.0),
        events: frame
            .events
            .iter()
            .map(|e| canonical::encode(&e.event).into())
            .collect(),
        covered_vector: Some((&frame.covered).into()),
        head: frame.head,
        next_stored_at: None,
        time: None,
        filtered: frame.filtered,
    }
}

fn frame_from_wire(wire: v1::Frame) -> Result<Frame, FieldError> {
    let events = wire
        .events
        .iter()
        .enumerate()
        .map(|(i, bytes)| {
            FrameEvent::decode(bytes)
                .map_err(|e| FieldError::new(format!("events[{i}]"), e.to_string()))
        })
        .collect::<Result<_, _>>()?;
    Ok(Frame {
        stream: wire.stream_id,
        incarnation: Incarnation(wire.source_incarnation),
        from: wire.from,
        to: wire.to,
        hash_from: chain_hash_from_wire("hash_from", &wire.hash_from)?,
        hash_to: chain_hash_from_wire("hash_to", &wire.hash_to)?,
        events,
        covered: required_field("covered_vector", wire.covered_vector)?,
        head: wire.head,
        filtered: if mutant!("frame-loses-what-was-filtered") {
            0
        } else {
            wire.filtered
        },
    })
}

fn heartbeat_to_wire(beat: &Heartbeat) -> v1::ReplicationHeartbeat {
    let (stalled, message) = match &beat.stalled {
        Some((reason, message)) => (Some(reason.clone()), message.clone()),
        None => (None, String::new()),
    };
    v1::ReplicationHeartbeat {
        stream_id: beat.stream,
        head: beat.head,
        time: Some(timestamp_from_micros(beat.time_micros)),
        next_stored_at: beat.next_stored_at_micros.map(timestamp_from_micros),
        stalled,
        message,
        sent: beat.sent,
        spec_hash: beat.spec_hash.clone(),
        filter_hash: beat.filter_hash.clone(),
    }
}

fn heartbeat_from_wire(wire: v1::ReplicationHeartbeat) -> Result<Heartbeat, FieldError> {
    let time = wire.time.ok_or_else(|| FieldError::missing("time"))?;
    let next = wire.next_stored_at.as_ref();
    Ok(Heartbeat {
        stream: wire.stream_id,
        head: wire.head,
        time_micros: micros_from_timestamp(&time).map_err(|e| e.within("time"))?,
        next_stored_at_micros: next
            .map(micros_from_timestamp)
            .transpose()
            .map_err(|e| e.within("next_stored_at"))?,
        stalled: wire
            .stalled
            .filter(|_| !mutant!("heartbeat-loses-its-stall"))
            .map(|reason| (reason, wire.message)),
        sent: wire.sent,
        spec_hash: wire.spec_hash,
        filter_hash: wire.filter_hash,
    })
}

fn proof(stream: u64, content: v1::proof::Content) -> Message {
    Message::Proof(v1::Proof {
        stream_id: stream,
        content: Some(content),
    })
}

fn proof_from_wire(wire: v1::Proof) -> Result<Said, FieldError> {
    let stream = wire.stream_id;
    match wire.content.ok_or_else(|| FieldError::missing("content"))? {
        v1::proof::Content::Wanted(id) => Ok(Said::Wanted(stream, field("wanted", id)?)),
        v1::proof::Content::Absent(id) => Ok(Said::Absent(stream, field("absent", id)?)),
        v1::proof::Content::Event(bytes) => FrameEvent::decode(&bytes)
            .map(|event| Said::Shown(stream, event))
            .map_err(|e| FieldError::new("event", e.to_string())),
    }
}

#[cfg(test)]
mod tests;
