//! Which keys an expression uses without having made sure that they are there.
//!
//! A syntactic analysis: a key counts as guarded where a `has(...)`, or `'key' in ...`, of the same path must be true for the access to
//! matter: `has(p) && p == 1`, `!has(p) || p == 1`, `has(p) ? p == 1 : false`, in either order (CEL's `&&` and `||` absorb an error on
//! either side). What it does not see it reports, which costs a warning, never an event.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators};

/// The paths that may be absent, such as `event.metadata.store`, sorted.
pub(crate) fn unguarded(root: &IdedExpr) -> Vec<String> {
    let mut found = BTreeSet::new();
    walk(root, &Facts::new(), &mut found);
    found.into_iter().collect()
}

/// Paths that are known to be there.
type Facts = BTreeSet<String>;

fn walk(node: &IdedExpr, known: &Facts, found: &mut BTreeSet<String>) {
    if let Some(path) = access(node)
        && path.may_be_absent
        && !known.contains(&path.text)
    {
        found.insert(path.text);
    }
    // Below, the operand too: every key on the way must be there.
    match &node.expr {
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, [a, b]) => {
                walk(a, &with(known, &facts(b, true)), found);
                walk(b, &with(known, &facts(a, true)), found);
            }
            (operators::LOGICAL_OR, [a, b]) => {
                walk(a, &with(known, &facts(b, false)), found);
                walk(b, &with(known, &facts(a, false)), found);
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                walk(condition, known, found);
                walk(yes, &with(known, &facts(condition, true)), found);
                walk(no, &with(known, &facts(condition, false)), found);
            }
            _ => {
                for child in crate::syntax::children(node) {
                    walk(child, known, found);
                }
            }
        },
        _ => {
            for child in crate::syntax::children(node) {
                walk(child, known, found);
            }
        }
    }
}

fn with(known: &Facts, more: &Facts) -> Facts {
    known.union(more).cloned().collect()
}

/// What is known to be there when the expression has the given value.
fn facts(node: &IdedExpr, value: bool) -> Facts {
    match &node.expr {
        Expr::Select(select) if select.test && value => path(&select.operand)
            .map(|parent| format!("{parent}.{}", select.field))
            .into_iter()
            .collect(),
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [a]) => facts(a, !value),
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [a, b]) => {
                let (a, b) = (facts(a, value), facts(b, value));
                // `a && b` true, `a || b` false: both hold. Otherwise only what follows from either.
                if (call.func_name == operators::LOGICAL_AND) == value {
                    with(&a, &b)
                } else {
                    a.intersection(&b).cloned().collect()
                }
            }
            (operators::IN, [key, container]) if value => match (text(key), path(container)) {
                (Some(key), Some(parent)) => Facts::from([format!("{parent}.{key}")]),
                _ => Facts::new(),
            },
            _ => Facts::new(),
        },
        _ => Facts::new(),
    }
}

struct Access {
    text: String,
    may_be_absent: bool,
}

/// The access that a node is: a selection or an index with a literal key.
fn access(node: &IdedExpr) -> Option<Access> {
    let text = match &node.expr {
        Expr::Select(select) if !select.test => path(node)?,
        Expr::Call(call) if call.func_name == operators::INDEX => path(node)?,
        _ => return None,
    };
    let in_map = |map: &str| {
        text.strip_prefix(map)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    let of_loop = !text.starts_with("event.");
    Some(Access {
        may_be_absent: of_loop || in_map("event.metadata") || in_map("event.payload"),
        text,
    })
}

/// The path of a value from `event` or a loop variable; `None` when a key is computed or a number.
fn path(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", path(&select.operand)?, select.field))
        }
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [container, key] => Some(format!("{}.{}", path(container)?, text(key)?)),
            _ => None,
        },
        _ => None,
    }
}

fn text(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(s)) => Some(s.inner().to_owned()),
        _ => None,
    }
}
