//! What cert-manager says of a certificate that it has not put into its Secret yet.

use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::Value;
use tidelog_api::EventLog;

use crate::context::Context;
use crate::error::Error;

/// Why a Secret is not there that cert-manager makes: it is on its way, or it has failed and tries again later.
pub(crate) async fn why(context: &Context, log: &EventLog, name: &str) -> Error {
    let namespace = log.metadata.namespace.clone().unwrap_or_default();
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate");
    let kind = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &kind);
    // It is asked for after this, the first time: what is wrong with that is told there.
    let found = api.get_opt(name).await.ok().flatten();
    told(name, &found.map_or(Value::Null, |found| found.data))
}

fn told(name: &str, certificate: &Value) -> Error {
    let status = &certificate["status"];
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let said = |type_: &str| {
        let condition = conditions.clone().find(|c| c["type"] == type_)?;
        condition["message"]
            .as_str()
            .filter(|said| !said.is_empty())
    };
    if status["lastFailureTime"].is_string() {
        let said = said("Issuing")
            .or(said("Ready"))
            .unwrap_or("it does not say why");
        let why = format!(
            "cert-manager could not issue Certificate {name}, and tries again later: {said}"
        );
        return Error::refused("IssuingFailed", why);
    }
    let said = said("Ready").map_or_else(String::new, |said| format!(": {said}"));
    let why = format!("cert-manager has not issued Certificate {name} yet{said}");
    Error::refused("Issuing", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_on_its_way_is_told_apart_from_what_has_failed() {
        let told = |status: Value| {
            let error = told("orders-eu-tls", &json!({"status": status}));
            (error.refusal(), error.to_string())
        };
        let on_its_way = "cert-manager has not issued Certificate orders-eu-tls yet";
        assert_eq!(told(Value::Null), (Some("Issuing"), on_its_way.to_owned()));
        let ready = json!({"type": "Ready", "status": "False", "message": "no such Issuer"});
        assert_eq!(
            told(json!({"conditions": [ready]})),
            (Some("Issuing"), format!("{on_its_way}: no such Issuer"))
        );
        let failed = json!({"type": "Issuing", "status": "False", "message": "denied"});
        let why =
            "cert-manager could not issue Certificate orders-eu-tls, and tries again later: denied";
        let failure = "2026-11-22T10:00:00Z";
        assert_eq!(
            told(json!({"conditions": [ready, failed], "lastFailureTime": failure})),
            (Some("IssuingFailed"), why.to_owned())
        );
    }
}
