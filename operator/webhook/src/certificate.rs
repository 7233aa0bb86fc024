//! The certificate of the webhook: made here, kept in one Secret for all replicas, and told to the API server as `caBundle`.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tidelog_pki::{Authority, Pair, Validity, authorities, examine};

use crate::server::{WebhookError, WebhookOptions};

/// How long a certificate counts; the next one is made when a third of that is left.
const LIFETIME: Duration = Duration::from_hours(24 * 365);
const FIELD_MANAGER: &str = "tidelog-operator";
/// The label of what the operator has made.
const OURS: &str = "app.kubernetes.io/managed-by";
/// Keys of the Secret.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// The authority that has signed the certificate, and the one before: replicas take a new certificate up one after the other.
const AUTHORITIES: &str = "ca.crt";

/// What is served with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Serving {
    pub(crate) pair: Pair,
    authorities: String,
}

/// The certificate that is there, or a new one where none is, or where it is about to end. The authority of the one that is served now stays known: other
/// replicas serve it for a while.
pub(crate) async fn provide(
    client: &Client,
    options: &WebhookOptions,
    served: Option<&Serving>,
) -> Result<Serving, WebhookError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &options.namespace);
    let name = &options.secret;
    let failed = |what: &str| {
        let what = format!("{what} Secret {}/{name}", options.namespace);
        move |error| WebhookError::Api(what, Box::new(error))
    };
    let found = api.get_opt(name).await.map_err(failed("look at"))?;
    let is_ours = |secret: &Secret| {
        secret
            .labels()
            .get(OURS)
            .is_some_and(|by| by == FIELD_MANAGER)
    };
    if found.as_ref().is_some_and(|found| !is_ours(found)) {
        return Err(WebhookError::Foreign(name.clone()));
    }
    let before = found.as_ref().and_then(serving);
    if let Some(before) = before.clone().filter(|s| is_good(s, &options.host())) {
        return Ok(before);
    }
    let made = make(&options.host(), before.as_ref().or(served))?;
    let data = [
        (CERTIFICATE, &made.pair.certificate),
        (KEY, &made.pair.key),
        (AUTHORITIES, &made.authorities),
    ];
    let data = data.map(|(key, text)| (key.to_owned(), ByteString(text.clone().into_bytes())));
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            // Whoever was faster is not written over.
            resource_version: found.as_ref().and_then(ResourceExt::resource_version),
            labels: Some(BTreeMap::from([(
                OURS.to_owned(),
                FIELD_MANAGER.to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(data.into()),
        ..Secret::default()
    };
    let written = if found.is_some() {
        let patch = json!({
            "metadata": {"resourceVersion": secret.metadata.resource_version},
            "data": secret.data,
        });
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        api.patch(name, &params, &Patch::Merge(&patch)).await
    } else {
        api.create(&PostParams::default(), &secret).await
    };
    match written {
        Ok(_) => {
            tracing::info!(
                secret = name,
                host = options.host(),
                "made a certificate for the webhook"
            );
            Ok(made)
        }
        // Another replica was faster: theirs counts.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let found = api.get(name).await.map_err(failed("look at"))?;
            serving(&found).ok_or(WebhookError::Secret(name.clone()))
        }
        Err(error) => Err(failed("write")(error)),
    }
}

fn serving(secret: &Secret) -> Option<Serving> {
    let data = secret.data.as_ref()?;
    let text = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok();
    let authorities = text(AUTHORITIES)?;
    Some(Serving {
        pair: Pair {
            certificate: text(CERTIFICATE)?,
            key: text(KEY)?,
        },
        authorities,
    })
}

/// Whether a certificate may go on: for this host, and not about to end.
fn is_good(serving: &Serving, host: &str) -> bool {
    let now = Timestamp::now().as_second();
    let Ok((validity, name)) = examine(&serving.pair.certificate) else {
        return false;
    };
    !validity.is_ending(now)
        && serving.pair.is_one()
        && name.as_deref() == Some(host)
        && authorities(&serving.authorities).is_ok()
}

fn make(host: &str, before: Option<&Serving>) -> Result<Serving, WebhookError> {
    let validity = Validity::starting(Timestamp::now().as_second(), LIFETIME);
    // Its key is forgotten: nothing else will ever be signed by it.
    let authority = Authority::generate("webhook of tidelog", validity)?;
    let pair = authority.issue_host(host, validity)?;
    let mut known = vec![authority.pair().certificate.clone()];
    let before = before.and_then(|before| authorities(&before.authorities).ok());
    known.extend(before.and_then(|before| before.into_iter().next()));
    Ok(Serving {
        pair,
        authorities: known.concat(),
    })
}

/// Tells the API server whom to trust. Writes only what differs.
pub(crate) async fn tell(
    client: &Client,
    options: &WebhookOptions,
    serving: &Serving,
) -> Result<(), WebhookError> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let name = &options.configuration;
    let failed = |what: &str| {
        let what = format!("{what} MutatingWebhookConfiguration {name}");
        move |error| WebhookError::Api(what, Box::new(error))
    };
    let found = api.get(name).await.map_err(failed("look at"))?;
    let bundle = serving.authorities.as_bytes();
    let webhooks = found.webhooks.iter().flatten();
    let stale: Vec<_> = { webhooks }
        .enumerate()
        .filter(|(_, hook)| {
            hook.client_config
                .ca_bundle
                .as_ref()
                .is_none_or(|b| b.0 != bundle)
        })
        .map(|(index, _)| {
            json!({
                "op": "add",
                "path": format!("/webhooks/{index}/clientConfig/caBundle"),
                "value": ByteString(bundle.to_vec()),
            })
        })
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    let patch = serde_json::from_value::<json_patch::Patch>(stale.into());
    let patch = patch.map_err(|_| WebhookError::Secret(options.secret.clone()))?;
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let told = api.patch(name, &params, &Patch::<()>::Json(patch)).await;
    told.map_err(failed("write"))?;
    tracing::info!(
        configuration = name,
        "the API server knows the webhook's authority"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_certificate_is_trusted_beside_the_one_before() {
        let first = make("tidelog.tidelog-system.svc", None).unwrap();
        assert!(is_good(&first, "tidelog.tidelog-system.svc"));
        assert!(!is_good(&first, "other.tidelog-system.svc"));
        let second = make("tidelog.tidelog-system.svc", Some(&first)).unwrap();
        let third = make("tidelog.tidelog-system.svc", Some(&second)).unwrap();
        assert_eq!(authorities(&first.authorities).unwrap().len(), 1);
        let known = authorities(&third.authorities).unwrap();
        assert_eq!(known.len(), 2);
        assert_eq!(known[1], authorities(&second.authorities).unwrap()[0]);
        assert_ne!(first.pair, second.pair);
    }
}
