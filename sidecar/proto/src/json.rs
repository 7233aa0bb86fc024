//! Events in JSON as people and programs read them: the protobuf JSON mapping, with the payload as JSON where it is JSON.

use std::ops::RangeInclusive;

use bytes::Bytes;
use serde::de::{Error as _, IgnoredAny};
use serde_json::{Error, Value};

use crate::v1::Event;

const PAYLOAD: &str = "payload";
/// The years 1 to 9999 in seconds since the Unix epoch: what RFC 3339 can write.
const SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// True when the content type says JSON: `application/json`, or any type with the suffix `+json`; parameters are ignored.
pub fn is_json_content_type(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let lower = media_type.to_ascii_lowercase();
    lower == "application/json" || lower.ends_with("+json")
}

/// An event as one line (without the line end): lowerCamelCase names, 64-bit integers as strings, fields with their default value left out.
///
/// A payload of a JSON content type is shown as the JSON it is, last in the line, digit by digit as it was written; any other payload, and one
/// that claims to be JSON and is not, in base64. The error is a time outside of the years that RFC 3339 can write.
pub fn event_line(event: &Event) -> Result<String, Error> {
    check_times(event)?;
    let Some(payload) = json_payload(event) else {
        return serde_json::to_string(event);
    };
    let mut rest = event.clone();
    rest.payload = Bytes::new();
    let mut line = serde_json::to_string(&rest)?;
    // `contentType` is set, or the payload would not be JSON: the object has a field before the payload.
    line.pop();
    line.push_str(",\"");
    line.push_str(PAYLOAD);
    line.push_str("\":");
    push_without_whitespace(&mut line, payload);
    line.push('}');
    Ok(line)
}

/// Reads what [`event_line`] wrote, in any layout. A payload of a JSON content type is taken as the JSON it is (compact, numbers
/// beyond 64 bits rounded), any other as base64. A field that no event has is refused.
pub fn event_from_json(text: &str) -> Result<Event, Error> {
    let mut value: Value = serde_json::from_str(text)?;
    let fields = value
        .as_object_mut()
        .ok_or_else(|| Error::custom("an event is a JSON object"))?;
    let json = ["contentType", "content_type"]
        .iter()
        .find_map(|name| fields.get(*name))
        .and_then(Value::as_str)
        .is_some_and(is_json_content_type);
    let payload = if json { fields.remove(PAYLOAD) } else { None };
    let mut event: Event = serde_json::from_value(value)?;
    if let Some(payload) = payload {
        event.payload = Bytes::from(serde_json::to_vec(&payload)?);
    }
    Ok(event)
}

/// A time beyond the year 9999 would be written with a sign and more digits, which nothing reads back.
fn check_times(event: &Event) -> Result<(), Error> {
    let physical = event.time.as_ref().and_then(|time| time.physical.as_ref());
    for (field, time) in [
        ("time.physical", physical),
        ("stored_at", event.stored_at.as_ref()),
    ] {
        if let Some(time) = time
            && !SECONDS.contains(&time.seconds)
        {
            return Err(Error::custom(format!(
                "{field} is {} seconds from 1970; RFC 3339 writes the years 1 to 9999 only, the binary API has no such limit",
                time.seconds
            )));
        }
    }
    Ok(())
}

fn json_payload(event: &Event) -> Option<&str> {
    if !is_json_content_type(&event.content_type) {
        return None;
    }
    let text = std::str::from_utf8(&event.payload).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    Some(text)
}

/// Copies valid JSON without the whitespace between its tokens. (Not parsed and written again: that would round long numbers.)
fn push_without_whitespace(out: &mut String, json: &str) {
    let (mut in_text, mut escaped) = (false, false);
    for c in json.chars() {
        if in_text {
            (in_text, escaped) = (escaped || c != '"', !escaped && c == '\\');
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_text = c == '"';
        }
        out.push(c);
    }
}
