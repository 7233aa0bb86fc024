//! Locations in one process, with real sockets between them.

mod control;
mod converge;
mod filters;
mod hostile;
mod live;
mod loss;
mod net;
mod versions;
