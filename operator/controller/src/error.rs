//! Why a visit did not come to its end; it is made again.

use thiserror::Error;
use tidelog_build::RenderError;
use tidelog_pki::PkiError;

/// Why a visit did not come to its end.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The API server.
    #[error("{what}: {source}")]
    Api {
        what: String,
        source: Box<kube::Error>,
    },
    /// A pod.
    #[error("{pod} does not hear: {why}")]
    Sidecar { pod: String, why: String },
    /// What a person has to mend: a word for programs and a sentence.
    #[error("{why}")]
    Refused { reason: &'static str, why: String },
    /// What goes away by itself.
    #[error("{0} of an earlier EventLog of this name is still being deleted")]
    Leaving(String),
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// What the schema should have refused.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// An object without a field that every object has.
    #[error("an object without {0}")]
    Incomplete(&'static str),
}

impl Error {
    /// The word for what the API server will refuse again, until somebody changes something; `None` where it may be otherwise the next time.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        let source = match self {
            Self::Api { source, .. } => source,
            Self::Refused { reason, .. } => return Some(reason),
            _ => return None,
        };
        let kube::Error::Api(status) = &**source else {
            return None;
        };
        match status.code {
            403 => Some("Forbidden"),
            404 => Some("KindNotFound"),
            422 => Some("Invalid"),
            _ => None,
        }
    }

    /// A person has to mend something.
    pub(crate) fn refused(reason: &'static str, why: impl Into<String>) -> Self {
        let why = why.into();
        Self::Refused { reason, why }
    }

    /// Names what was asked of the API server.
    pub(crate) fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Api {
            what,
            source: Box::new(source),
        }
    }
}
