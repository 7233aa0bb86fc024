//! The running log: append, restart, loss, fencing, unknown outcomes.

mod faulty;
mod life;
mod rig;
