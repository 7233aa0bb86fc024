//! The validation rules of the schema, evaluated as the API server does. Rules about changes need an old object, which a file
//! does not have; they are left to the API server.

use cel::{Context, Program, Value as CelValue};
use serde_json::Value;

use crate::node::{At, Kind, Node};
use crate::schema::join;

/// A rule that does not hold.
pub(crate) struct Broken {
    pub at: At,
    pub field: String,
    pub message: String,
}

/// Evaluates the rules of `schema` and of everything below it on a node that passed the schema's other checks.
pub(crate) fn broken(node: &Node, schema: &Value, field: &str, found: &mut Vec<Broken>) {
    let rules = schema["x-kubernetes-validations"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for rule in rules {
        let expression = rule["rule"].as_str().unwrap_or_default();
        if expression.contains("oldSelf") {
            continue;
        }
        if let Err(why) = evaluate(expression, &node.to_json()) {
            let message = rule["message"].as_str().unwrap_or(expression);
            let message =
                why.map_or_else(|| message.to_owned(), |why| format!("{message} ({why})"));
            found.push(Broken {
                at: node.at,
                field: field.to_owned(),
                message,
            });
        }
    }
    match &node.kind {
        Kind::Map(entries) => {
            for (key, value) in entries {
                if let Some(property) = schema["properties"].get(&key.name) {
                    broken(value, property, &join(field, &key.name), found);
                }
            }
        }
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                broken(item, &schema["items"], &format!("{field}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// `Err(None)`: it is false; `Err(Some(_))`: it cannot be evaluated, which counts as false too.
fn evaluate(expression: &str, value: &Value) -> Result<(), Option<String>> {
    let program = Program::compile(expression).map_err(|error| Some(error.to_string()))?;
    let mut context = Context::default();
    context
        .add_variable("self", value)
        .map_err(|error| Some(error.to_string()))?;
    match program.execute(&context) {
        Ok(CelValue::Bool(true)) => Ok(()),
        Ok(CelValue::Bool(false)) => Err(None),
        Ok(other) => Err(Some(format!("the rule gives {other:?}"))),
        Err(error) => Err(Some(error.to_string())),
    }
}
