//! What is appended: files, the standard input, and lines of them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use serde_json::Value;
use tidelog_model::caps;
use tidelog_proto::json::is_json_content_type;
use tidelog_proto::v1::NewEvent;

use super::JSON;
use crate::failure::Failure;

/// A file, or the standard input for `-`.
pub fn open(file: &Path) -> Result<Box<dyn BufRead + Send>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    match File::open(file) {
        Ok(opened) => Ok(Box::new(BufReader::new(opened))),
        Err(error) => Err(Failure::failed(format!(
            "cannot read {}: {error}",
            file.display()
        ))),
    }
}

/// The whole content, no more than an event can hold.
pub fn bytes(file: &Path) -> Result<Bytes, Failure> {
    let mut bytes = Vec::new();
    open(file)?
        .take(caps::EVENT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", file.display())))?;
    if bytes.len() > caps::EVENT_BYTES_MAX {
        return Err(Failure::failed(format!(
            "{} is larger than an event may be, {} bytes",
            file.display(),
            caps::EVENT_BYTES_MAX
        ))
        .hint("store the content elsewhere and append a reference, or split it"));
    }
    Ok(bytes.into())
}

/// A line that is longer cannot become an event: base64 and escapes make it at most six times as long.
const LINE_BYTES_MAX: u64 = 6 * caps::EVENT_BYTES_MAX as u64;

/// The next line without its end; `None` at the end of the input.
pub fn line(reader: &mut dyn BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader
        .take(LINE_BYTES_MAX + 1)
        .read_until(b'\n', &mut line)?
        == 0
    {
        return Ok(None);
    }
    if line.len() as u64 > LINE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "a line is longer than {LINE_BYTES_MAX} bytes"
        )));
    }
    String::from_utf8(line)
        .map(|line| Some(line.trim_end_matches(['\n', '\r']).to_owned()))
        .map_err(|_| io::Error::other("a line is not UTF-8"))
}

/// Reads an event from its line.
pub fn event(line: &str) -> Result<NewEvent, String> {
    let mut value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let Some(fields) = value.as_object_mut() else {
        return Err("an event is a JSON object".to_owned());
    };
    if !fields.contains_key("type") {
        return Err("type is missing".to_owned());
    }
    let content_type = match fields.get("contentType") {
        None => JSON.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(_) => return Err("contentType is not a text".to_owned()),
    };
    // Taken out of the text again, digit by digit: a parsed number may have lost some.
    let payload = if is_json_content_type(&content_type) {
        fields.remove("payload")
    } else {
        None
    };
    let mut event: NewEvent = serde_json::from_value(value).map_err(|error| error.to_string())?;
    if payload.is_some() {
        event.payload = Bytes::from(raw_payload(line)?);
        event.content_type = content_type;
    }
    Ok(event)
}

/// The payload as it was written.
fn raw_payload(line: &str) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        payload: &'a serde_json::value::RawValue,
    }
    serde_json::from_str::<Line<'_>>(line)
        .map(|line| line.payload.get().to_owned())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_payload_is_taken_as_it_was_written() {
        let event = event(r#"{"type": "T", "aggregateId": "a", "payload": {"n": 123456789012345678901234567890, "b": 1}}"#).unwrap();
        assert_eq!(event.content_type, JSON);
        assert_eq!(event.aggregate_id, "a");
        assert_eq!(
            event.payload,
            br#"{"n": 123456789012345678901234567890, "b": 1}"#.as_slice()
        );
    }

    #[test]
    fn another_content_type_is_base64() {
        let event =
            event(r#"{"type": "T", "contentType": "text/plain", "payload": "aGVsbG8="}"#).unwrap();
        assert_eq!(event.payload, b"hello".as_slice());
    }

    #[test]
    fn an_event_without_payload_has_no_content_type() {
        assert_eq!(event(r#"{"type": "T"}"#).unwrap().content_type, "");
    }

    #[test]
    fn what_is_no_event_is_refused_with_the_reason() {
        for (line, why) in [
            ("", "EOF"),
            ("[]", "an event is a JSON object"),
            ("{}", "type is missing"),
            (
                r#"{"type": "T", "sequence": "7"}"#,
                "unknown field `sequence`",
            ),
            (
                r#"{"type": "T", "contentType": 1}"#,
                "contentType is not a text",
            ),
            (r#"{"type": 7}"#, "invalid type"),
        ] {
            let error = event(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn lines_end_with_or_without_a_line_end() {
        let mut reader = io::Cursor::new(b"one\r\n\nlast".to_vec());
        let mut lines = Vec::new();
        while let Some(text) = line(&mut reader).unwrap() {
            lines.push(text);
        }
        assert_eq!(lines, ["one", "", "last"]);
        assert!(line(&mut io::Cursor::new(vec![0xff, b'\n'])).is_err());
    }
}
