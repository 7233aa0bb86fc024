//! How many pods may be away on purpose.

use serde_json::{Value, json};

use crate::names::selector;
use crate::{Place, metadata};

/// One at a time, where there is more than one.
pub(crate) fn budget(place: &Place<'_>) -> Option<Value> {
    let names = place.names();
    (place.log.spec.replicas > 1).then(|| {
        json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(place, &names.base(), "log"),
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": selector(&names, "log")},
            },
        })
    })
}
