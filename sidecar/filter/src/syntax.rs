//! From text to a syntax tree of bounded size, without trusting the parser with the caller's stack.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, SourceInfo};

use crate::error::FilterErrorKind;
use crate::function;
use crate::limits::{CEL_BYTES_MAX, LEVELS_MAX, NODES_MAX};

/// Where something is in the text: line and column, from 1.
pub(crate) type Place = (usize, usize);

/// A parsed expression within the limits of text, nodes and levels.
pub(crate) struct Tree {
    pub(crate) root: IdedExpr,
    /// Levels of the tree.
    pub(crate) levels: usize,
    source: SourceInfo,
}

impl Tree {
    /// Where a node is in the text.
    pub(crate) fn place(&self, node: u64) -> Place {
        let offset = self.source.offset_for(node).map_or(0, |(start, _)| start);
        let before = self.source.source.chars().take(offset as usize);
        before.fold((1, 1), |(line, column), c| match c {
            '\n' => (line + 1, 1),
            _ => (line, column + 1),
        })
    }
}

/// Parses an expression.
///
/// The parser recurses through several rules per bracket and along every chain of operators: call it with [`PARSE_STACK_BYTES`] of stack,
/// which suffice for any text of the length allowed. Only trees that are shallow enough for everybody else are handed out.
///
/// [`PARSE_STACK_BYTES`]: crate::limits::PARSE_STACK_BYTES
pub(crate) fn parse(text: &str) -> Result<Tree, (Place, FilterErrorKind)> {
    let at_start = |kind| ((1, 1), kind);
    if text.trim().is_empty() {
        return Err(at_start(FilterErrorKind::Empty));
    }
    if text.len() > CEL_BYTES_MAX {
        return Err(at_start(FilterErrorKind::TooLong { actual: text.len() }));
    }
    catch_unwind(AssertUnwindSafe(|| parse_here(text))).unwrap_or_else(|_| {
        let message = "the parser gave up".to_owned();
        Err(at_start(FilterErrorKind::Failed { message }))
    })
}

fn parse_here(text: &str) -> Result<Tree, (Place, FilterErrorKind)> {
    let Some(environment) = function::environment() else {
        let message = "the evaluator is incomplete".to_owned();
        return Err(((1, 1), FilterErrorKind::Failed { message }));
    };
    let (root, source) = environment
        .parser()
        .parse_with_source_info(text)
        .map_err(|errors| {
            let Some(first) = errors.errors.first() else {
                let message = "unknown error".to_owned();
                return ((1, 1), FilterErrorKind::Syntax { message });
            };
            let from_1 = |n: isize| usize::try_from(n).unwrap_or_default().max(1);
            let place = (from_1(first.pos.0), from_1(first.pos.1));
            if first.msg.contains("Recursion limit") {
                return (place, FilterErrorKind::TooDeep);
            }
            let message = shortened(first.msg.trim_start_matches("Syntax error: "));
            (place, FilterErrorKind::Syntax { message })
        })?;
    let (nodes, levels) = measure(&root);
    if nodes > NODES_MAX {
        return Err(((1, 1), FilterErrorKind::TooManyNodes { actual: nodes }));
    }
    if levels > LEVELS_MAX {
        return Err(((1, 1), FilterErrorKind::TooDeep));
    }
    Ok(Tree {
        root,
        levels,
        source,
    })
}

/// The first part of a message of the library, on one line.
pub(crate) fn shortened(message: &str) -> String {
    const CHARS_MAX: usize = 240;
    let one_line = message.replace('\n', " ");
    match one_line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &one_line[..end]),
        None => one_line,
    }
}

/// Nodes and levels of a tree.
fn measure(expr: &IdedExpr) -> (usize, usize) {
    let (mut nodes, mut levels) = (1, 0);
    for child in children(expr) {
        let (n, l) = measure(child);
        nodes += n;
        levels = levels.max(l);
    }
    (nodes, levels + 1)
}

/// The direct sub-expressions of a node.
pub(crate) fn children(expr: &IdedExpr) -> Vec<&IdedExpr> {
    fn entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
        match entry {
            EntryExpr::StructField(field) => vec![&field.value],
            EntryExpr::MapEntry(pair) => vec![&pair.key, &pair.value],
        }
    }
    match &expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .collect(),
        Expr::Comprehension(c) => vec![
            &c.iter_range,
            &c.accu_init,
            &c.loop_cond,
            &c.loop_step,
            &c.result,
        ],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|e| entry(&e.expr)).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Struct(s) => s.entries.iter().flat_map(|e| entry(&e.expr)).collect(),
    }
}
