//! Schema fragments and limits that several fields share, so that a name is the same thing wherever it stands.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Locations of one log. A vector has at most 256 entries and each location needs at least one, more after a loss.
pub const LOCATIONS_MAX: u32 = 128;
/// Filters of one link.
pub const FILTERS_MAX: u32 = 128;
/// Length of a location, link filter or object name.
pub const NAME_BYTES_MAX: u32 = 63;
/// Length of a log's name and a location's name together: `<log>-<location>-pg` names a StatefulSet, whose pods carry it in a
/// label beside a hash of eleven characters.
pub const NAMES_TOGETHER_BYTES_MAX: u32 = 48;
/// Length of a filter expression.
pub const CEL_BYTES_MAX: u32 = 4096;
/// Entries of a version vector in a status.
pub const VECTOR_ENTRIES_MAX: u32 = 256;
/// Edges listed in a link's status.
pub const EDGE_STATUS_MAX: u32 = 1024;
/// Operators that stand by for one log.
pub const OTHER_OPERATORS_MAX: u32 = 8;
/// Port of `ReplicationService` when an endpoint names none.
pub const DEFAULT_REPLICATION_PORT: i32 = 7443;

const DATA_KEY: &str = "^[-._a-zA-Z0-9]+$";
const HOST: &str = "^([a-zA-Z0-9]([-_a-zA-Z0-9.]*[a-zA-Z0-9])?|[0-9a-fA-F:.]+)$";
const VERSION: &str = "^[0-9]{1,9}([.][0-9]{1,9}){0,7}$";
const LABEL: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";
const QUANTITY: &str = "^[1-9][0-9]{0,14}(Ki|Mi|Gi|Ti|k|M|G|T)?$";

/// What a pattern of the schema allows, for people; the pattern itself when it has no words.
pub fn pattern_in_words(pattern: &str) -> String {
    match pattern {
        LABEL => "a name: lower-case letters, digits and '-', beginning with a letter, ending with a letter or digit",
        QUANTITY => "a size: a whole number with a unit such as Ki, Mi or Gi",
        VERSION => "a version: whole numbers with dots between them, such as 1.3",
        HOST => "a host name or an IP address, without scheme, port or path",
        DATA_KEY => "a key of a Secret or ConfigMap: letters, digits, '-', '_' and '.'",
        other => return format!("of the form {other}"),
    }
    .to_owned()
}

/// A lower-case name that is safe in host names, labels and paths.
pub fn label(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX, "pattern": LABEL})
}

/// A set of location names.
pub fn locations(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": label(generator),
        "minItems": 1,
        "maxItems": LOCATIONS_MAX,
        "x-kubernetes-list-type": "set"
    })
}

/// Two or more location names.
pub fn two_or_more_locations(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = locations(generator);
    schema.insert("minItems".into(), 2.into());
    schema
}

/// The name of another object in the same namespace.
pub fn object_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 253})
}

/// Namespace and name of a Lease.
pub fn lease(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 317})
}

/// Leases of several operators.
pub fn leases(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": lease(generator),
        "maxItems": OTHER_OPERATORS_MAX,
        "x-kubernetes-list-type": "set"
    })
}

/// A key of a Secret or ConfigMap.
pub fn data_key(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 253, "pattern": DATA_KEY})
}

/// A filter expression.
pub fn cel(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": CEL_BYTES_MAX})
}

/// A host name or an IP address, without scheme, port or path.
pub fn host(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "pattern": HOST
    })
}

/// A whole number of bytes with a unit, as Kubernetes writes quantities.
pub fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 20, "pattern": QUANTITY})
}

/// Dotted integers; compared number by number, so 1.10 is newer than 1.9.
pub fn dotted_version(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 63, "pattern": VERSION})
}

/// A moment, RFC 3339.
pub fn optional_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 64})
}

/// Text of a status, for people.
pub fn short_text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 1024})
}

/// Any object; checked by whoever realises it.
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
