//! Reasons of errors.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use regex::Regex;
use tidelog_proto::ErrorReason;

use super::code;

const HEAD: &str = "\
# Errors

A call that fails answers with a gRPC status. Its details hold a `google.rpc.ErrorInfo` with the `reason` below, the domain `tidelog.dev` and the metadata named in the table, as far as they are known; where it helps also `BadRequest` (one violation per field), `RetryInfo` (how long to wait) and `PreconditionFailure`. The message is for people: it names the field, the value, the limit and the way out, and may change. Programs decide by `reason`.

An append that failed is not in the log, with one exception: after `OUTCOME_UNKNOWN` it may be. A connection that breaks before the answer leaves the same doubt. Repeat the request with the same request id: it is answered with the first answer, or appended now.

*Retry unchanged* says whether the same request may succeed later. *Reserved* reasons are answered by no call of this version: their names stand for what is to come, so that clients can be written for them now.

";

/// The page.
pub fn page() -> String {
    format!("{HEAD}{}", tidelog_proto::error::reference())
}

/// Reasons that some call answers: those that the code of servers names, other than to recognise what a peer has answered.
pub fn raised() -> Result<BTreeSet<&'static str>> {
    let named = Regex::new(r"ErrorReason::(\w+)\s*(\||=>)?")?;
    let mut found = BTreeSet::new();
    for place in [
        "sidecar/proto/src/error/api_error.rs",
        "sidecar/engine/src",
        "sidecar/replication/src",
        "sidecar/server/src",
    ] {
        for text in code(place)? {
            let raised = named.captures_iter(&text).filter(|c| c.get(2).is_none());
            found.extend(raised.map(|c| c[1].to_owned()));
        }
    }
    ensure!(found.len() > 10, "only {found:?} are raised");
    let all = ErrorReason::ALL.iter();
    Ok(all
        .filter(|reason| found.contains(&format!("{reason:?}")))
        .map(|reason| reason.as_str())
        .collect())
}

/// Reasons that the page calls reserved.
pub fn reserved() -> BTreeSet<&'static str> {
    let all = ErrorReason::ALL.iter();
    all.filter(|reason| reason.is_reserved())
        .map(|reason| reason.as_str())
        .collect()
}
