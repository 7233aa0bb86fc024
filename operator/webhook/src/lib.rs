//! The mutating webhook: a pod with the label `tidelog.dev/inject` gets a sidecar, first in line, as `tidelog inject` gives it to a manifest.
//!
//! | module | what it holds |
//! |---|---|
//! | `review` | what is answered about a pod; pure |
//! | `certificate` | with which certificate this is served, and how the API server learns to trust it |
//! | `server` | the socket |
//!
//! Every replica of the operator serves it, elected or not: whoever the API server reaches answers. Nothing is written but the Secret of the certificate and the
//! `caBundle` of the one configuration, so that a dry run changes nothing.

mod certificate;
mod review;
mod server;

pub use review::{INJECT_LABEL, INJECT_LOCATION_LABEL};
pub use server::{Webhook, WebhookError, WebhookOptions};
