//! Each machine by itself, over the memory store where it needs one.

mod apply;
mod bench;
mod late;
mod log;
mod writer;
mod writer_outcomes;
