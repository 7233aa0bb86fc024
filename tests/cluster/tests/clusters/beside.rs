//! What touches nothing outside of its namespace: these are played beside each other.

mod application;
mod certificates;
mod failover;
mod issued;
mod links;
mod storage;
mod volumes;
