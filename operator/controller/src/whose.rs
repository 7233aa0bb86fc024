//! Whose an object is that is there already: nothing of somebody else is ever written over.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tidelog_api::EventLog;
use tidelog_build::Names;

use crate::error::Error;

const LOG: &str = "tidelog.dev/log";
const LOCATION: &str = "tidelog.dev/location";

/// Refuses an object that is not of this location: `orders` at `eu-west` and `orders-eu` at `west` have all names in common, and a person may have taken one.
pub(crate) fn check(kind: &str, found: &ObjectMeta, names: &Names) -> Result<(), Error> {
    let label = |key| {
        let labels = found.labels.as_ref()?;
        labels.get(key).map(String::as_str)
    };
    if label(LOG) == Some(&names.log) && label(LOCATION) == Some(&names.location) {
        return Ok(());
    }
    let Names { log, location } = names;
    let name = found.name.as_deref().unwrap_or_default();
    let whose = match (label(LOG), label(LOCATION)) {
        (Some(log), Some(location)) => format!("location {location} of EventLog {log}"),
        _ => "something else".to_owned(),
    };
    let why = format!(
        "{kind} {name} belongs to {whose}: rename or delete it, or, if it is meant for {location}, say so: kubectl label {} {name} {LOG}={log} {LOCATION}={location} --overwrite",
        kind.to_lowercase()
    );
    Err(Error::refused("NameTaken", why))
}

/// Whether it is controlled by something else than this log: by an earlier one of its name, whose objects are still being deleted.
pub(crate) fn is_leaving(found: &ObjectMeta, log: &EventLog) -> bool {
    let owners = found.owner_references.iter().flatten();
    let owner = { owners }.find(|owner| owner.controller == Some(true));
    owner.is_some_and(|owner| Some(&owner.uid) != log.metadata.uid.as_ref())
}

/// Whether this log controls it.
pub(crate) fn is_owned(found: &ObjectMeta, log: &EventLog) -> bool {
    let owners = found.owner_references.iter().flatten();
    { owners }.any(|owner| {
        owner.controller == Some(true) && Some(&owner.uid) == log.metadata.uid.as_ref()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(labels: &[(&str, &str)]) -> ObjectMeta {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        ObjectMeta {
            name: Some("orders-eu-west".to_owned()),
            labels: Some(labels.collect()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn what_is_of_another_location_or_of_nobody_is_refused() {
        let names = Names::new("orders", "eu-west");
        assert!(
            check(
                "Service",
                &found(&[(LOG, "orders"), (LOCATION, "eu-west")]),
                &names
            )
            .is_ok()
        );
        let other = found(&[(LOG, "orders-eu"), (LOCATION, "west")]);
        let said = check("Service", &other, &names).map_err(|error| error.to_string());
        assert_eq!(
            said,
            Err("Service orders-eu-west belongs to location west of EventLog orders-eu: rename or delete it, or, if it is meant for eu-west, say so: \
                kubectl label service orders-eu-west tidelog.dev/log=orders tidelog.dev/location=eu-west --overwrite".to_owned())
        );
        assert!(check("Secret", &found(&[]), &names).is_err());
        assert!(check("Secret", &found(&[(LOG, "orders")]), &names).is_err());
    }
}
