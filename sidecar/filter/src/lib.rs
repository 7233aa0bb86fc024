//! Filters: CEL over the envelope of an event and its JSON payload, checked and bounded when loaded, pure when evaluated.
//!
//! ```
//! use tidelog_filter::{Filter, FilterSet, OnError};
//!
//! let own_store = Filter::compile(
//!     "own-store-only",
//!     "has(event.metadata.store) && event.metadata.store == target",
//!     OnError::Stall,
//! )?;
//! assert!(own_store.uses().target);
//! assert!(own_store.uses().unguarded.is_empty());
//! let edge = FilterSet::new([own_store]);
//! assert_ne!(edge.hash(), FilterSet::default().hash());
//! # Ok::<(), tidelog_filter::FilterError>(())
//! ```
//!
//! The variables: `event.<field>` under the proto names, only fields that are the same at every location; `source` and `target`, the names
//! of the locations of the edge; `event.payload`, when the content type is JSON. Unsigned fields of the wire are `uint`: `event.id.sequence
//! % 2u == 0u`. `has(event.x)` asks for a value other than the default, `has(event.payload)` whether it can be looked into.
//!
//! A verdict must be the same wherever it is computed, for ever: a filter is a function of immutable fields, iterates over keys in order,
//! has no clock, no randomness and no time zones, and is bounded by steps, not by time. The bounds are in [`limits`].
//!
//! | module | what it does |
//! |---|---|
//! | `syntax` | text to tree, within size and depth |
//! | `lower` | checks names, functions, nesting; rewrites into the evaluated form |
//! | `guard` | finds keys that may be absent |
//! | `trial` | finds type errors on sample events |
//! | `program` | one compiled expression, its evaluation |
//! | `scope`, `value`, `function`, `budget` | what an evaluation sees, and what it may cost |
//! | `filter`, `set`, `selector` | what others use |

mod budget;
mod error;
mod field;
mod filter;
mod function;
mod guard;
pub mod limits;
mod lower;
mod program;
mod scope;
mod selector;
mod set;
mod syntax;
mod trial;
mod value;

pub use error::{EvalError, FilterError, FilterErrorKind, PayloadError};
pub use filter::{Explanation, Filter, OnError, StallReason, Verdict};
pub use limits::EVALUATOR_VERSION;
pub use program::Uses;
pub use selector::SelectorFilter;
pub use set::{FilterSet, plan_id};
