//! The PostgreSQL store on a real server: the contract, the same answers as the memory store, and what only PostgreSQL can do wrong.

mod contract;
mod fixture;
