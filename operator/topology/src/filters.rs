//! Filters compiled as the data plane compiles them: what is accepted here runs there.

use std::collections::BTreeMap;

use tidelog_filter::{EVALUATOR_VERSION, Filter, FilterSet, OnError, Uses};
use tidelog_model::mutant;

use crate::finding::{Finding, FindingKind};
use crate::input::{Link, Log};
use crate::plan::{Edge, Predicate};

/// Every expression of a log, compiled once. One that does not compile is absent and is a finding.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    compiled: BTreeMap<Predicate, Filter>,
}

/// The predicate of an expression.
pub(crate) fn predicate(cel: &str, on_error: OnError) -> Predicate {
    Predicate {
        cel: cel.trim().to_owned(),
        on_error: if mutant!("ways-to-fail-are-alike") {
            OnError::Stall
        } else {
            on_error
        },
        evaluator: EVALUATOR_VERSION,
    }
}

impl Filters {
    /// Compiles the filters of links and locations.
    pub(crate) fn compile(log: &Log, links: &[&Link], findings: &mut Vec<Finding>) -> Self {
        let mut filters = Self::default();
        for link in links {
            for filter in &link.filters {
                let subject = format!("link {} filter {}", link.name, filter.name);
                let found = filters.add(&subject, &filter.name, &filter.cel, filter.on_error);
                findings.extend(found.map(|found| found.of_links([link.name.as_str()])));
            }
        }
        for location in &log.locations {
            if let Some(filter) = &location.export_filter {
                let subject = format!("location {}", location.name);
                findings.extend(filters.add(
                    &subject,
                    "exportFilter",
                    &filter.cel,
                    filter.on_error,
                ));
            }
        }
        filters
    }

    fn add(&mut self, subject: &str, name: &str, cel: &str, on_error: OnError) -> Option<Finding> {
        let predicate = predicate(cel, on_error);
        let filter = match self.compiled.get(&predicate) {
            Some(filter) => filter.clone(),
            None => match Filter::compile(name, cel, on_error) {
                Ok(filter) => filter,
                Err(error) => {
                    return Some(Finding::new(
                        FindingKind::InvalidFilter,
                        subject,
                        error.to_string(),
                    ));
                }
            },
        };
        let unguarded = unguarded(subject, &filter);
        self.compiled.insert(predicate, filter);
        unguarded
    }

    /// What an expression looks at; nothing when it does not compile.
    pub(crate) fn uses(&self, predicate: &Predicate) -> Uses {
        self.compiled
            .get(predicate)
            .map(|filter| filter.uses().clone())
            .unwrap_or_default()
    }

    /// Whether an expression may decide differently on different edges.
    pub(crate) fn is_local(&self, predicate: &Predicate) -> bool {
        let uses = self.uses(predicate);
        uses.source || uses.target
    }

    /// The filters of an edge as the data plane has them.
    pub(crate) fn of_edge(&self, edge: &Edge) -> FilterSet {
        edge.predicates()
            .filter_map(|predicate| self.compiled.get(predicate))
            .cloned()
            .collect()
    }

    /// The filters of a plan, each text saying where it is in force: edges that have some, and locations that export less than
    /// everything. An edge without filters is not in it, so that adding one changes nothing for old events.
    pub(crate) fn canonical<'a>(
        &self,
        log: &Log,
        edges: impl Iterator<Item = &'a Edge>,
    ) -> Vec<String> {
        let on_edges = edges.filter(|edge| !edge.filters.is_empty()).map(|edge| {
            format!(
                "edge {} {}\n{}",
                edge.source,
                edge.target,
                self.of_edge(edge).canonical()
            )
        });
        let on_export = log.locations.iter().filter_map(|location| {
            let filter = location.export_filter.as_ref()?;
            let compiled = self
                .compiled
                .get(&predicate(&filter.cel, filter.on_error))
                .cloned();
            let canonical = FilterSet::new(compiled).canonical();
            Some(format!("export {}\n{canonical}", location.name))
        });
        let mut texts: Vec<String> = on_edges.chain(on_export).collect();
        texts.sort();
        texts
    }
}

fn unguarded(subject: &str, filter: &Filter) -> Option<Finding> {
    let keys = &filter.uses().unguarded;
    let first = keys.first()?;
    let then = match filter.on_error() {
        OnError::Stall => "the edge stalls",
        OnError::Drop => "the event is left out",
        OnError::Pass => "the event is let through",
    };
    let message = format!(
        "{} may be absent, and then {then}; guard each with has(...)",
        keys.join(", ")
    );
    Some(
        Finding::new(FindingKind::UnguardedKey, subject, message)
            .with_example(format!("has({first}) && ({})", filter.cel())),
    )
}
