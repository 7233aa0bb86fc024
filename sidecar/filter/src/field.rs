//! The fields of an event that a filter may name: the immutable ones of the envelope, under their proto names.

/// A field of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Id,
    Context,
    Time,
    Type,
    SchemaVersion,
    ContentType,
    Payload,
    EmitterId,
    AggregateId,
    Destinations,
    Metadata,
    CausedBy,
    DeliveryId,
    RequestId,
    RequestIndex,
    RequestCount,
    ApplicationVersion,
    PlanId,
}

/// All fields: the name, the variable that holds the value, and the one that tells its presence.
///
/// The expression is rewritten to use these variables: `event.type` becomes one look-up instead of two, and no `event` has to be built.
/// Their last letter is the index into this table. `@` cannot be written in CEL, so they cannot be named by an expression.
const FIELDS: [(Field, &str, &str, &str); 18] = [
    (Field::Id, "id", "@va", "@ha"),
    (Field::Context, "context", "@vb", "@hb"),
    (Field::Time, "time", "@vc", "@hc"),
    (Field::Type, "type", "@vd", "@hd"),
    (Field::SchemaVersion, "schema_version", "@ve", "@he"),
    (Field::ContentType, "content_type", "@vf", "@hf"),
    (Field::Payload, "payload", "@vg", "@hg"),
    (Field::EmitterId, "emitter_id", "@vh", "@hh"),
    (Field::AggregateId, "aggregate_id", "@vi", "@hi"),
    (Field::Destinations, "destinations", "@vj", "@hj"),
    (Field::Metadata, "metadata", "@vk", "@hk"),
    (Field::CausedBy, "caused_by", "@vl", "@hl"),
    (Field::DeliveryId, "delivery_id", "@vm", "@hm"),
    (Field::RequestId, "request_id", "@vn", "@hn"),
    (Field::RequestIndex, "request_index", "@vo", "@ho"),
    (Field::RequestCount, "request_count", "@vp", "@hp"),
    (
        Field::ApplicationVersion,
        "application_version",
        "@vq",
        "@hq",
    ),
    (Field::PlanId, "plan_id", "@vr", "@hr"),
];

impl Field {
    /// The field of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        FIELDS.iter().find(|(_, n, _, _)| *n == name).map(|f| f.0)
    }

    /// The variable that holds its value.
    pub(crate) fn variable(self) -> &'static str {
        FIELDS[self as usize].2
    }

    /// The variable that tells whether it has a value.
    pub(crate) fn presence_variable(self) -> &'static str {
        FIELDS[self as usize].3
    }

    /// The field of a variable, and whether the variable asks for presence only.
    pub(crate) fn of_variable(variable: &str) -> Option<(Self, bool)> {
        let [b'@', kind @ (b'v' | b'h'), letter] = variable.as_bytes() else {
            return None;
        };
        let row = FIELDS.get(usize::from(letter.checked_sub(b'a')?))?;
        Some((row.0, *kind == b'h'))
    }
}

/// The names of all fields, for messages.
pub(crate) fn names() -> String {
    FIELDS.map(|f| f.1).join(", ")
}

/// Why a field of the wire's `Event` is not one of a filter's `event`.
pub(crate) fn refusal(name: &str) -> Option<&'static str> {
    match name {
        "sequence" => Some(
            "the local sequence differs between locations; use event.id.sequence, which is the same everywhere",
        ),
        "stored_at" => Some(
            "it differs between locations; use event.time.physical, the time of writing, which is the same everywhere",
        ),
        "digest" => Some("it is derived from the other fields"),
        _ => None,
    }
}

/// The fields of the messages within an event, by path; `None` for what is not a message.
pub(crate) fn message_fields(path: &str) -> Option<&'static [&'static str]> {
    match path {
        "event.id" | "event.caused_by.id" => Some(&["location", "incarnation", "sequence"]),
        "event.time" => Some(&["physical", "logical"]),
        "event.context" => Some(&["entries"]),
        "event.caused_by" => Some(&["log", "id", "output_index"]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_fields() {
        for (i, (field, name, value, presence)) in FIELDS.iter().enumerate() {
            assert_eq!(*field as usize, i);
            assert_eq!(Field::named(name), Some(*field));
            assert_eq!(Field::of_variable(value), Some((*field, false)));
            assert_eq!(Field::of_variable(presence), Some((*field, true)));
        }
        assert_eq!(Field::of_variable("@vz"), None);
        assert_eq!(Field::of_variable("source"), None);
    }
}
