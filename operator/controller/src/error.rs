//! Why a visit did not come to its end; it is made again.

use thiserror::Error;
use tidelog_build::RenderError;

/// Why a visit did not come to its end.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The API server.
    #[error("{what}: {source}")]
    Api {
        what: String,
        source: Box<kube::Error>,
    },
    /// What the schema should have refused.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// An object without a field that every object has.
    #[error("an object without {0}")]
    Incomplete(&'static str),
}

impl Error {
    /// Names what was asked of the API server.
    pub(crate) fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Api {
            what,
            source: Box::new(source),
        }
    }
}
