//! The rules by which kstatus reads an object of a kind that it does not know; Flux, kpt and others go by them.

use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kstatus {
    InProgress,
    Failed,
    Current,
    Terminating,
}

/// The status of a condition.
pub fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a str> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|c| c["type"] == type_)?;
    found["status"].as_str()
}

pub fn read(object: &Value) -> Kstatus {
    let metadata = &object["metadata"];
    if metadata["deletionTimestamp"].is_string() {
        return Kstatus::Terminating;
    }
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != metadata["generation"] {
        return Kstatus::InProgress;
    }
    // Whichever of the two comes first in the list.
    for condition in object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        if condition["status"] == "True" {
            match condition["type"].as_str() {
                Some("Reconciling") => return Kstatus::InProgress,
                Some("Stalled") => return Kstatus::Failed,
                _ => {}
            }
        }
    }
    match condition(object, "Ready") {
        // Without any of the conditions an object that is there is done.
        None | Some("True") => Kstatus::Current,
        Some(_) => Kstatus::InProgress,
    }
}
