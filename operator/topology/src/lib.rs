//! The planner: what people wrote about a log and its links in, a plan as data out.
//!
//! A plan says which edges exist, who dials, what passes, what lies behind each source, and everything that is wrong or
//! worth knowing. It is total (a refused plan is still a plan, with findings of severity error), ordered, without clock,
//! I/O or randomness, so the same manifests give the same plan at every location: the hashes rely on it.
//!
//! The rule that matters most: in each biconnected component with three or more locations every edge has the same effective
//! filters. Otherwise an event that one path admits and another refuses is overtaken by its effects, which makes the target
//! believe that it has seen it, and it is lost there.
//!
//! Absent on purpose: Kubernetes, executors, reachability beyond "has an endpoint".

mod cycles;
mod edges;
mod example;
mod filters;
mod finding;
mod graph;
mod hashes;
mod input;
mod plan;
mod planner;
mod redundancy;
mod render;

pub use finding::{Finding, FindingKind, Severity};
pub use hashes::{Digest, FilterHash, PlanId};
pub use input::{
    Application, Batch, DialSide, Endpoint, ExportFilter, HubDirection, LagThreshold, Link,
    LinkFilter, Location, Log, PointDirection, Topology,
};
pub use plan::{
    Bridge, Component, Dial, Edge, EdgeFilter, EdgeId, Plan, PlannedLocation, Predicate, Side,
};
pub use planner::Planner;
pub use render::{dot, text};
pub use tidelog_filter::OnError;
