//! Checks a syntax tree against the rules of filters and rewrites it into the form that is evaluated.
//!
//! | written | evaluated |
//! |---|---|
//! | `event.type` | one variable per field, see [`crate::field`] |
//! | `has(event.type)` | one variable per field |
//! | `x.name` | `x['name']`, which needs no search for a qualified name |
//! | `a + b` | a bounded addition |
//! | `x.matches('re')` | a match with the compiled pattern |

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapEntryExpr, MapExpr,
    SelectExpr, operators,
};
use cel::common::types::CelString;

use crate::error::FilterErrorKind;
use crate::field::{self, Field};
use crate::function::{self, Pattern};
use crate::scope::pattern_variable;

/// Which variables exist beside `event`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// `source` and `target` too: a filter on an edge.
    Edge,
    /// Only `event`: a selector of a reader.
    EventOnly,
}

impl Names {
    fn allowed(self) -> &'static str {
        match self {
            Self::Edge => {
                "event, source, target and the variables of all, exists, exists_one, map, filter"
            }
            Self::EventOnly => "event and the variables of all, exists, exists_one, map, filter",
        }
    }
}

/// What the pass learns about an expression.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) fields: BTreeSet<Field>,
    pub(crate) source: bool,
    pub(crate) target: bool,
    pub(crate) patterns: Vec<Pattern>,
}

/// A refusal with the node it is about.
pub(crate) type Refused = (u64, FilterErrorKind);

/// Checks and rewrites a tree.
pub(crate) fn lower(tree: &IdedExpr, names: Names) -> Result<(IdedExpr, Found), Refused> {
    let mut pass = Pass {
        names,
        found: Found::default(),
        variables: Vec::new(),
    };
    let lowered = pass.expr(tree)?;
    Ok((lowered, pass.found))
}

struct Pass {
    names: Names,
    found: Found,
    /// The loop variable and its accumulator, when within a loop.
    variables: Vec<String>,
}

impl Pass {
    fn expr(&mut self, node: &IdedExpr) -> Result<IdedExpr, Refused> {
        let refused = |kind| Err((node.id, kind));
        let expr = match &node.expr {
            Expr::Literal(_) => node.expr.clone(),
            Expr::Ident(name) => self.ident(node.id, name)?,
            Expr::Select(select) => self.select(node.id, select)?,
            Expr::Call(call) => self.call(node.id, call)?,
            Expr::List(list) => Expr::List(ListExpr::new(self.all(&list.elements)?)),
            Expr::Comprehension(c) => self.comprehension(node.id, c)?,
            Expr::Map(_) => return refused(FilterErrorKind::LooseMap),
            Expr::Struct(_) => {
                return refused(FilterErrorKind::NotAllowed {
                    what: "a message literal",
                });
            }
            Expr::Unspecified => {
                return refused(FilterErrorKind::NotAllowed {
                    what: "an empty expression",
                });
            }
        };
        Ok(IdedExpr { id: node.id, expr })
    }

    fn all(&mut self, nodes: &[IdedExpr]) -> Result<Vec<IdedExpr>, Refused> {
        nodes.iter().map(|n| self.expr(n)).collect()
    }

    fn ident(&mut self, id: u64, name: &str) -> Result<Expr, Refused> {
        let edge = self.names == Names::Edge;
        match name {
            _ if self.variables.iter().any(|v| v == name) => {}
            "event" => return Err((id, FilterErrorKind::BareEvent)),
            "source" if edge => self.found.source = true,
            "target" if edge => self.found.target = true,
            _ if function::TYPE_NAMES.contains(&name) => {}
            _ => {
                return Err((
                    id,
                    FilterErrorKind::UndeclaredName {
                        name: name.to_owned(),
                        allowed: self.names.allowed(),
                    },
                ));
            }
        }
        Ok(Expr::Ident(name.to_owned()))
    }

    fn select(&mut self, id: u64, select: &SelectExpr) -> Result<Expr, Refused> {
        if is_event(&select.operand) {
            let path = format!("event.{}", select.field);
            let Some(field) = Field::named(&select.field) else {
                return Err((
                    id,
                    match field::refusal(&select.field) {
                        Some(reason) => FilterErrorKind::RefusedField { path, reason },
                        None => FilterErrorKind::UnknownField {
                            path,
                            parent: "event".into(),
                            allowed: field::names(),
                        },
                    },
                ));
            };
            self.found.fields.insert(field);
            return Ok(Expr::Ident(
                if select.test {
                    field.presence_variable()
                } else {
                    field.variable()
                }
                .to_owned(),
            ));
        }
        if let Some(parent) = path_of(&select.operand)
            && let Some(allowed) = field::message_fields(&parent)
        {
            let path = format!("{parent}.{}", select.field);
            if !allowed.contains(&select.field.as_str()) {
                return Err((
                    id,
                    FilterErrorKind::UnknownField {
                        path,
                        parent,
                        allowed: allowed.join(", "),
                    },
                ));
            }
            if select.test {
                let instead = "has(event.caused_by) where an event may have no cause";
                return Err((id, FilterErrorKind::NeedlessHas { path, instead }));
            }
        }
        let operand = self.expr(&select.operand)?;
        if select.test {
            return Ok(Expr::Select(SelectExpr {
                operand: Box::new(operand),
                field: select.field.clone(),
                test: true,
            }));
        }
        let key = LiteralValue::String(CelString::from(select.field.clone()));
        let key = IdedExpr {
            id,
            expr: Expr::Literal(key),
        };
        Ok(call(operators::INDEX, vec![operand, key]))
    }

    fn call(&mut self, id: u64, written: &CallExpr) -> Result<Expr, Refused> {
        let name = written.func_name.as_str();
        if !function::is_declared(name, written.args.len(), written.target.is_some()) {
            let kind = if name == operators::OPT_SELECT || name == operators::OPT_INDEX {
                FilterErrorKind::NotAllowed {
                    what: "optional syntax",
                }
            } else {
                FilterErrorKind::UndeclaredFunction {
                    name: name.to_owned(),
                    arguments: written.args.len(),
                    allowed: function::names(),
                }
            };
            return Err((id, kind));
        }
        match (name, written.args.as_slice()) {
            ("matches", [.., pattern]) => {
                let text = written.target.as_deref().or(written.args.first());
                let variable = self.pattern(pattern)?;
                let text = text.map(|t| self.expr(t)).transpose()?;
                Ok(call(
                    function::MATCHES,
                    text.into_iter().chain([variable]).collect(),
                ))
            }
            (operators::INDEX, [container, key]) => {
                let args = vec![self.container(container)?, self.expr(key)?];
                Ok(call(name, args))
            }
            (operators::IN, [item, container]) => {
                let args = vec![self.expr(item)?, self.container(container)?];
                Ok(call(name, args))
            }
            // The accumulator of `map` and `filter` grows in place, the library knows it by this shape; it is as long as what it iterates over.
            (operators::ADD, [accumulator, _]) if !is_accumulator(accumulator) => {
                Ok(call(function::ADD, self.all(&written.args)?))
            }
            _ => {
                let target = match &written.target {
                    Some(target) => Some(Box::new(self.expr(target)?)),
                    None => None,
                };
                Ok(Expr::Call(CallExpr {
                    func_name: name.to_owned(),
                    target,
                    args: self.all(&written.args)?,
                }))
            }
        }
    }

    /// The operand that is looked into: the one place where a map literal cannot show its order.
    fn container(&mut self, node: &IdedExpr) -> Result<IdedExpr, Refused> {
        let Expr::Map(map) = &node.expr else {
            return self.expr(node);
        };
        let mut entries = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            let EntryExpr::MapEntry(pair) = &entry.expr else {
                return Err((entry.id, FilterErrorKind::LooseMap));
            };
            let pair = MapEntryExpr {
                key: self.expr(&pair.key)?,
                value: self.expr(&pair.value)?,
                optional: false,
            };
            let mut lowered = entry.clone();
            lowered.expr = EntryExpr::MapEntry(pair);
            entries.push(lowered);
        }
        Ok(IdedExpr {
            id: node.id,
            expr: Expr::Map(MapExpr { entries }),
        })
    }

    fn pattern(&mut self, node: &IdedExpr) -> Result<IdedExpr, Refused> {
        let Expr::Literal(LiteralValue::String(pattern)) = &node.expr else {
            return Err((node.id, FilterErrorKind::ComputedPattern));
        };
        let compiled = Pattern::new(pattern.inner()).map_err(|message| {
            let pattern = pattern.inner().to_owned();
            (node.id, FilterErrorKind::BadPattern { pattern, message })
        })?;
        let variable = pattern_variable(self.found.patterns.len());
        self.found.patterns.push(compiled);
        Ok(IdedExpr {
            id: node.id,
            expr: Expr::Ident(variable),
        })
    }

    fn comprehension(&mut self, id: u64, c: &ComprehensionExpr) -> Result<Expr, Refused> {
        let name = c.iter_var.as_str();
        if !self.variables.is_empty() || holds_loop(&c.iter_range) {
            let name = name.to_owned();
            return Err((id, FilterErrorKind::NestedComprehension { name }));
        }
        let reserved = matches!(name, "event" | "source" | "target")
            || function::TYPE_NAMES.contains(&name)
            || c.iter_var2.is_some();
        if reserved || !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            let name = name.to_owned();
            return Err((id, FilterErrorKind::ReservedVariable { name }));
        }
        let iter_range = self.expr(&c.iter_range)?;
        self.variables = vec![c.iter_var.clone(), c.accu_var.clone()];
        let lowered = ComprehensionExpr {
            iter_range,
            iter_var: c.iter_var.clone(),
            iter_var2: None,
            accu_var: c.accu_var.clone(),
            accu_init: self.expr(&c.accu_init)?,
            loop_cond: self.expr(&c.loop_cond)?,
            loop_step: self.expr(&c.loop_step)?,
            result: self.expr(&c.result)?,
        };
        self.variables.clear();
        Ok(Expr::Comprehension(Box::new(lowered)))
    }
}

fn call(name: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr {
        func_name: name.to_owned(),
        target: None,
        args,
    })
}

fn is_event(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name == "event")
}

fn is_accumulator(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name.starts_with('@'))
}

fn holds_loop(node: &IdedExpr) -> bool {
    matches!(node.expr, Expr::Comprehension(_))
        || crate::syntax::children(node).into_iter().any(holds_loop)
}

/// The path of plain selections from `event`, such as `event.caused_by.id`.
fn path_of(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Expr::Ident(name) if name == "event" => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", path_of(&select.operand)?, select.field))
        }
        _ => None,
    }
}
