//! Real Kubernetes for tests: an API server with its store ([`ApiServer`]), two whole clusters ([`Clusters`]), and what `kubectl` and Helm
//! say about them.
//!
//! The programs are built once from their modules and kept outside of the checkout; `kit/` has the scripts, which a person can call as well.

mod api_server;
mod clusters;
mod forward;
mod helm;
mod kubectl;
mod look;

pub use api_server::ApiServer;
pub use clusters::Clusters;
pub use forward::Forward;
pub use helm::Helm;
pub use kubectl::{Answer, Kubectl};
