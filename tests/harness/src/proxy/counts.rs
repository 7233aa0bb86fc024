//! What a proxy did: the witness that a fault happened.

use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counters that only grow.
        #[derive(Debug, Default)]
        pub struct Counts {
            $($(#[$doc])* pub $name: AtomicU64,)+
        }

        /// Counters as they stood at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
        pub struct Counted {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Counts {
            /// As they stand now.
            pub fn read(&self) -> Counted {
                Counted { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }

        impl Sub for Counted {
            type Output = Self;

            fn sub(self, before: Self) -> Self {
                Self { $($name: self.$name.saturating_sub(before.$name),)+ }
            }
        }
    };
}

counts! {
    /// Connections that were accepted.
    accepted,
    /// New connections that were cut at once.
    refused,
    /// Standing connections that were cut with RST because a test wanted it.
    reset,
    /// Connections that lost one of their sides.
    half_opened,
    /// Connections that were cut behind a certain byte.
    cut,
    /// Bytes that passed.
    passed,
    /// Bytes that were taken in and never arrived.
    dropped,
    /// Bytes that arrived later.
    delayed,
    /// Bytes that waited because only so many may pass in a second.
    throttled,
    /// Bytes in which a bit was turned over.
    corrupted,
    /// Moments in which bytes that were there were not taken in.
    stalled,
}
