//! The variables of one evaluation: nothing is built before the expression asks for it.

use std::sync::OnceLock;

use cel::common::types::{CelBool, CelString};
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use serde_json::Value as Json;
use tidelog_model::Event;

use crate::budget;
use crate::error::PayloadError;
use crate::field::Field;
use crate::function::Pattern;
use crate::limits::JSON_BYTES_MAX;
use crate::value::{self, Fields, Object};

/// The event, the edge, and what was learned about the payload.
pub(crate) struct Scope<'e> {
    event: &'e Event,
    source: &'e str,
    target: &'e str,
    patterns: &'e [Pattern],
    payload: OnceLock<Result<Json, PayloadError>>,
    /// Why the payload, though JSON, could not be made a value.
    refused: OnceLock<PayloadError>,
}

/// The variable of the `n`th pattern.
pub(crate) fn pattern_variable(n: usize) -> String {
    format!("@re{n}")
}

impl<'e> Scope<'e> {
    pub(crate) fn new(
        event: &'e Event,
        source: &'e str,
        target: &'e str,
        patterns: &'e [Pattern],
    ) -> Self {
        Self {
            event,
            source,
            target,
            patterns,
            payload: OnceLock::new(),
            refused: OnceLock::new(),
        }
    }

    /// Why `event.payload` had no value, when it was asked for and had none.
    pub(crate) fn payload_error(&self) -> Option<PayloadError> {
        self.payload
            .get()
            .and_then(|p| p.as_ref().err())
            .or_else(|| self.refused.get())
            .cloned()
    }

    fn payload(&self) -> Option<CowVal<'_, '_>> {
        let json = self
            .payload
            .get_or_init(|| parse(self.event))
            .as_ref()
            .ok()?;
        match value::json(json) {
            Ok(value) => Some(CowVal::Owned(value)),
            Err(error) => {
                // The same payload is refused for the same reason every time.
                let _ = self.refused.set(error);
                None
            }
        }
    }

    fn value(&self, field: Field) -> Option<CowVal<'_, '_>> {
        let e = self.event;
        let boxed = match field {
            Field::Id => object(Fields::Id(&e.id)),
            Field::Context => object(Fields::Context(&e.context)),
            Field::Time => object(Fields::Time(e.time)),
            Field::Type => return text(&e.event_type),
            Field::SchemaVersion => uint(e.schema_version),
            Field::ContentType => return text(&e.content_type),
            Field::Payload => return self.payload(),
            Field::EmitterId => return text(&e.emitter_id),
            Field::AggregateId => return text(&e.aggregate_id),
            Field::Destinations => return value::texts(&e.destinations).ok().map(CowVal::Owned),
            Field::Metadata => object(Fields::Text(&e.metadata)),
            Field::CausedBy => object(Fields::Cause(e.caused_by.as_ref())),
            Field::DeliveryId => return text(&e.delivery_id),
            Field::RequestId => return text(&e.request_id),
            Field::RequestIndex => uint(e.request_index),
            Field::RequestCount => uint(e.request_count),
            Field::ApplicationVersion => return text(e.application_version.as_str()),
            Field::PlanId => uint(e.plan_id),
        };
        Some(boxed)
    }

    /// Presence as proto3 has it: a value other than the default; of the payload: that it can be looked into.
    fn is_present(&self, field: Field) -> bool {
        let e = self.event;
        match field {
            Field::Id | Field::Time => true,
            Field::ApplicationVersion => !e.application_version.as_str().is_empty(),
            Field::Context => !e.context.is_empty(),
            Field::Type => !e.event_type.is_empty(),
            Field::SchemaVersion => e.schema_version != 0,
            Field::ContentType => !e.content_type.is_empty(),
            Field::Payload => !e.payload.is_empty() && is_json(&e.content_type),
            Field::EmitterId => !e.emitter_id.is_empty(),
            Field::AggregateId => !e.aggregate_id.is_empty(),
            Field::Destinations => !e.destinations.is_empty(),
            Field::Metadata => !e.metadata.is_empty(),
            Field::CausedBy => e.caused_by.is_some(),
            Field::DeliveryId => !e.delivery_id.is_empty(),
            Field::RequestId => !e.request_id.is_empty(),
            Field::RequestIndex => e.request_index != 0,
            Field::RequestCount => e.request_count != 0,
            Field::PlanId => e.plan_id != 0,
        }
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if let Some((field, presence)) = Field::of_variable(variable) {
            budget::spend(1).ok()?;
            return if presence {
                Some(CowVal::owned(CelBool::from(self.is_present(field))))
            } else {
                self.value(field)
            };
        }
        match variable {
            "source" => text(self.source),
            "target" => text(self.target),
            _ => {
                let n: usize = variable.strip_prefix("@re")?.parse().ok()?;
                self.patterns.get(n).map(|p| CowVal::Borrowed(p as _))
            }
        }
    }
}

fn object(fields: Fields<'_>) -> CowVal<'_, '_> {
    CowVal::owned(Object::new(fields))
}

fn text(value: &str) -> Option<CowVal<'_, '_>> {
    budget::spend(budget::steps_for(value.len())).ok()?;
    Some(CowVal::owned(CelString::from(value)))
}

fn uint<'b, 'v>(value: impl Into<u64>) -> CowVal<'b, 'v> {
    CowVal::Owned(value::uint(value.into()))
}

fn parse(event: &Event) -> Result<Json, PayloadError> {
    if !is_json(&event.content_type) {
        return Err(PayloadError::NotJson {
            content_type: event.content_type.clone(),
        });
    }
    let actual = event.payload.len();
    if actual > JSON_BYTES_MAX {
        return Err(PayloadError::TooLarge { actual });
    }
    // A spent budget is noted on its own and ends the evaluation. serde_json bounds the depth (128).
    let _ = budget::spend(budget::steps_for(actual));
    serde_json::from_slice(&event.payload).map_err(|e| PayloadError::Malformed {
        message: e.to_string(),
    })
}

/// `application/json`, `text/json` and everything `+json`, parameters aside.
pub(crate) fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let has_suffix = media_type.len() > 5
        && media_type
            .get(media_type.len() - 5..)
            .is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"));
    has_suffix
        || media_type.eq_ignore_ascii_case("application/json")
        || media_type.eq_ignore_ascii_case("text/json")
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn json_is_recognised_by_its_media_type() {
        for yes in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/cloudevents+json",
            "text/json",
        ] {
            assert!(is_json(yes), "{yes}");
        }
        for no in [
            "",
            "+json",
            "json",
            "application/jsonl",
            "text/plain",
            "é+jso",
            "日本",
        ] {
            assert!(!is_json(no), "{no}");
        }
    }
}
