//! Real processes under faults: a network of sidecars with a database each, joined by proxies that break connections, while writers,
//! readers and consumers go on. Afterwards everything is mended and all judges look at the run.
//!
//! A run in which a fault that was named did not demonstrably happen is void: it proves nothing.
//!
//! | module | what it holds |
//! |---|---|
//! | [`kind`] | the faults by name, and decks of them |
//! | [`site`], [`links`] | the network under test, and the proxies between its locations |
//! | [`load`] | who writes and reads |
//! | [`weather`], [`faults`] | what breaks, when, and how that is known |
//! | [`stall`] | memory while a peer or a subscriber does not take what is for it |
//! | [`episode`], [`run`] | one network from start to judgement, and as many as time allows |
//! | [`tally`], [`ledger`], [`report`], [`operations`] | what is counted, kept to go on later, and told afterwards |
//! | [`mutants`] | shows that a run can find something |

pub mod episode;
pub mod faults;
pub mod kind;
pub mod ledger;
pub mod links;
pub mod load;
pub mod mutants;
pub mod operations;
pub mod report;
pub mod run;
pub mod site;
pub mod stall;
pub mod tally;
pub mod weather;
