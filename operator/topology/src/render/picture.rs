//! The graph as a tree of components: each component in one line, what hangs on its locations below.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::plan::{Bridge, Component, Edge, EdgeId, Plan};

/// The picture, one island after the other.
pub(super) fn lines(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for island in &plan.islands {
        let root = largest_component(plan, island);
        let tree = match root {
            Some(at) => component(plan, at, None),
            None => location(plan, busiest(plan, island), &Came::Nowhere),
        };
        if !lines.is_empty() {
            lines.push(String::new());
        }
        tree.draw("", "", &mut lines);
    }
    lines
}

struct Tree {
    label: String,
    children: Vec<Tree>,
}

impl Tree {
    fn draw(&self, first: &str, rest: &str, lines: &mut Vec<String>) {
        lines.push(format!("{first}{}", self.label));
        for (at, child) in self.children.iter().enumerate() {
            let (corner, bar) = if at + 1 == self.children.len() {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            child.draw(&format!("{rest}{corner}"), &format!("{rest}{bar}"), lines);
        }
    }
}

/// Over what the walk came to a location, so that it does not go back.
#[derive(PartialEq, Eq)]
enum Came<'a> {
    Nowhere,
    Component(usize),
    Bridge(&'a Bridge),
}

fn largest_component(plan: &Plan, island: &BTreeSet<String>) -> Option<usize> {
    (0..plan.components.len())
        .filter(|&at| plan.components[at].locations.is_subset(island))
        .max_by_key(|&at| (plan.components[at].locations.len(), std::cmp::Reverse(at)))
}

fn busiest<'a>(plan: &'a Plan, island: &'a BTreeSet<String>) -> &'a str {
    let degree = |name: &str| {
        plan.bridges
            .iter()
            .filter(|b| b.locations.contains(name))
            .count()
    };
    island
        .iter()
        .rev()
        .max_by_key(|name| degree(name))
        .map_or("", String::as_str)
}

fn component(plan: &Plan, at: usize, from: Option<&str>) -> Tree {
    let Component {
        locations,
        edges,
        filtered,
    } = &plan.components[at];
    let others: Vec<&str> = locations
        .iter()
        .map(String::as_str)
        .filter(|name| Some(*name) != from)
        .collect();
    let filter = if *filtered { ", filtered" } else { "" };
    let label = match from {
        None => format!("({})  {} edges{filter}", others.join(" "), edges.len()),
        Some(_) => format!(
            "in a cycle with ({})  {} edges{filter}",
            others.join(" "),
            edges.len()
        ),
    };
    let children = others
        .into_iter()
        .map(|name| location(plan, name, &Came::Component(at)))
        .filter(|tree| !tree.children.is_empty())
        .collect();
    Tree { label, children }
}

fn location(plan: &Plan, name: &str, came: &Came<'_>) -> Tree {
    let components = plan
        .components
        .iter()
        .enumerate()
        .filter(|(at, c)| c.locations.contains(name) && *came != Came::Component(*at))
        .map(|(at, _)| component(plan, at, Some(name)));
    let bridges = plan
        .bridges
        .iter()
        .filter(|b| b.locations.contains(name) && *came != Came::Bridge(b))
        .filter_map(|bridge| {
            let other = bridge.locations.iter().find(|other| *other != name)?;
            let mut tree = location(plan, other, &Came::Bridge(bridge));
            tree.label = over(plan, name, other);
            Some(tree)
        });
    Tree {
        label: name.to_owned(),
        children: components.chain(bridges).collect(),
    }
}

fn over(plan: &Plan, from: &str, to: &str) -> String {
    let there = plan.edges.get(&EdgeId::new(from, to));
    let back = plan.edges.get(&EdgeId::new(to, from));
    let arrow = match (there, back) {
        (Some(_), Some(_)) => "<->",
        (Some(_), None) => "-->",
        _ => "<--",
    };
    let filters = |edge: Option<&Edge>| {
        edge.is_some_and(|edge| !edge.filters.is_empty()).then(|| {
            edge.into_iter()
                .flat_map(|e| &e.filters)
                .map(|f| f.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        })
    };
    let mut label = format!("{arrow} {to}");
    for (filters, direction) in [(filters(there), to), (filters(back), from)] {
        if let Some(filters) = filters {
            let _ = write!(label, "  [to {direction}: {filters}]");
        }
    }
    let paused = [there, back].into_iter().flatten().any(|edge| edge.paused);
    if paused {
        label.push_str("  paused");
    }
    label
}
