//! The reading side of the engine over the memory store: what is served, in which order, and what is refused.

mod consumers;
mod gate;
mod log;
mod pages;
mod reads;
mod subscriptions;
mod waits;
