//! YAML with places: every value and every key knows where it was written.

use serde_json::{Map, Value};

/// Where a value stands: line and column, from 1.
pub(crate) type At = (usize, usize);

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub at: At,
    pub kind: Kind,
    /// Values in it, itself included.
    pub size: usize,
    /// Levels below it, itself included.
    pub depth: usize,
}

/// What a value is, as readers of YAML 1.1 see it, because `kubectl` is one.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    /// The value and how it was written, for instance `no`.
    Bool(bool, String),
    Int(i64, String),
    /// A number that is no `i64`.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub at: At,
    pub name: String,
}

impl Node {
    pub(crate) fn new(at: At, kind: Kind) -> Self {
        let (size, depth) = match &kind {
            Kind::List(items) => measure(items.iter()),
            Kind::Map(entries) => measure(entries.iter().map(|(_, value)| value)),
            _ => (0, 0),
        };
        Self {
            at,
            kind,
            size: size + 1,
            depth: depth + 1,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|(key, _)| key.name == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn entries(&self) -> &[(Key, Node)] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub(crate) fn what(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(_, raw) => format!("the boolean {raw}"),
            Kind::Int(_, raw) | Kind::Number(raw) => format!("the number {raw}"),
            Kind::Text(text) => format!("the text \"{}\"", short(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The same without places.
    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value, _) => Value::Bool(*value),
            Kind::Int(value, _) => Value::from(*value),
            Kind::Number(raw) => raw.parse::<f64>().map_or(Value::Null, Value::from),
            Kind::Text(text) => Value::from(text.as_str()),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.name.clone(), value.to_json()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }
}

fn measure<'a>(children: impl Iterator<Item = &'a Node>) -> (usize, usize) {
    children.fold((0, 0), |(size, depth), child| {
        (size + child.size, depth.max(child.depth))
    })
}

/// Enough of a text to recognise it in a message.
pub(crate) fn short(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN {
        return text.escape_debug().to_string();
    }
    format!(
        "{}...",
        text.chars().take(SHOWN).collect::<String>().escape_debug()
    )
}
