//! Streams without an end: clients and peers that never stop to ask, never read an answer, grant absurd credit, or open streams for ever. What a location
//! keeps for them is bounded, and others go on.
//!
//! Measured as memory of the whole process, in which the hostile side runs as well: what is seen is an upper bound. Each case prints what it saw.

mod cases;
mod rig;
