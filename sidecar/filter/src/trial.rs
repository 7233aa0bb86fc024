//! The trial run: what every event would be refused for is refused when the filter is loaded.
//!
//! Each operand of `&&`, `||`, `!` and `?:` is evaluated on its own against sample events, so that short-circuiting hides nothing. A
//! result that is not a boolean is refused, and a type error where no payload is involved (the types of the envelope are known; those of
//! a payload are not).

use std::collections::BTreeMap;

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators};
use tidelog_model::{
    ApplicationVersion, Cause, Event, EventId, HybridTime, Incarnation, LocationName, Origin,
    VectorTime,
};

use crate::error::{EvalError, FilterErrorKind};
use crate::field::Field;
use crate::lower::Refused;
use crate::program::Program;
use crate::syntax::children;

/// Tries a program.
pub(crate) fn run(program: &Program) -> Result<(), Refused> {
    let mut keys = BTreeMap::new();
    metadata_keys(program.expression(), &mut keys);
    // Without the two names that a location can have anywhere there is nothing to try; they are constants.
    let (Ok(source), Ok(target)) = (LocationName::new("source"), LocationName::new("target"))
    else {
        return Ok(());
    };
    let samples = [full(&source, keys), bare(&source)];
    let mut operands = vec![program.expression()];
    while let Some(operand) = operands.pop() {
        for sample in &samples {
            let outcome = program.evaluate_part(operand, sample, source.as_str(), target.as_str());
            let kind = match outcome.result {
                Err(EvalError::NotBoolean { actual }) => FilterErrorKind::NotBoolean { actual },
                Err(EvalError::Type { message }) if !uses_payload(operand) => {
                    FilterErrorKind::TypeMismatch { message }
                }
                _ => continue,
            };
            // The deepest operand that is wrong says it best.
            let deeper = logical_operands(operand).into_iter().find_map(|part| {
                let outcome = program.evaluate_part(part, sample, source.as_str(), target.as_str());
                match outcome.result {
                    Err(EvalError::NotBoolean { actual }) => {
                        Some((part.id, FilterErrorKind::NotBoolean { actual }))
                    }
                    _ => None,
                }
            });
            return Err(deeper.unwrap_or((operand.id, kind)));
        }
        operands.extend(logical_operands(operand));
    }
    Ok(())
}

/// The operands of a logical operator, which must be booleans themselves.
fn logical_operands(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Expr::Call(call)
            if matches!(
                call.func_name.as_str(),
                operators::LOGICAL_AND
                    | operators::LOGICAL_OR
                    | operators::LOGICAL_NOT
                    | operators::CONDITIONAL
            ) =>
        {
            call.args.iter().collect()
        }
        _ => Vec::new(),
    }
}

fn uses_payload(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name == Field::Payload.variable())
        || children(node).into_iter().any(uses_payload)
}

/// The literal keys that are looked up, so that a sample event can have them.
fn metadata_keys(node: &IdedExpr, keys: &mut BTreeMap<String, String>) {
    let value = || "1".to_owned();
    match &node.expr {
        Expr::Call(call) if call.func_name == operators::INDEX => {
            if let [container, key] = call.args.as_slice()
                && let (Expr::Ident(name), Expr::Literal(LiteralValue::String(key))) =
                    (&container.expr, &key.expr)
                && name == Field::Metadata.variable()
            {
                keys.insert(key.inner().to_owned(), value());
            }
        }
        Expr::Select(select) if select.test => {
            keys.insert(select.field.clone(), value());
        }
        _ => {}
    }
    for child in children(node) {
        metadata_keys(child, keys);
    }
}

/// An event with every field set.
fn full(location: &LocationName, metadata: BTreeMap<String, String>) -> Event {
    let origin = Origin::new(location.clone(), Incarnation(1));
    let cause = Cause {
        log: "orders".into(),
        id: EventId::new(origin.clone(), 1),
        output_index: 1,
    };
    Event {
        context: VectorTime::from_iter([(origin.clone(), 1)]),
        time: HybridTime {
            micros: 1_700_000_000_000_000,
            logical: 1,
        },
        event_type: "Sample".into(),
        schema_version: 1,
        content_type: "application/json".into(),
        payload: b"{}".as_slice().into(),
        emitter_id: "emitter".into(),
        aggregate_id: "aggregate".into(),
        destinations: vec!["destination".into()],
        metadata,
        caused_by: Some(cause),
        delivery_id: "delivery".into(),
        request_id: "request".into(),
        request_count: 1,
        application_version: "1.0".parse().unwrap_or_default(),
        plan_id: 1,
        ..bare(location)
    }
}

/// An event with nothing set that can be left out.
fn bare(location: &LocationName) -> Event {
    Event {
        id: EventId::new(Origin::new(location.clone(), Incarnation(1)), 2),
        context: VectorTime::new(),
        time: HybridTime::default(),
        event_type: "Sample".into(),
        schema_version: 0,
        content_type: String::new(),
        payload: [].as_slice().into(),
        emitter_id: String::new(),
        aggregate_id: String::new(),
        destinations: Vec::new(),
        metadata: BTreeMap::new(),
        caused_by: None,
        delivery_id: String::new(),
        request_id: String::new(),
        request_index: 0,
        request_count: 0,
        application_version: ApplicationVersion::default(),
        plan_id: 0,
    }
}
