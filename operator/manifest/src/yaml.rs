//! From text to nodes. Bounded: an alias costs what it stands for, so a few lines cannot become gigabytes.

use std::collections::{BTreeMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::node::{At, Key, Kind, Node};
use crate::problem::{Place, Report};

/// Values in one file, those that aliases stand for included.
pub const NODES_MAX: usize = 200_000;
/// Levels of lists and mappings.
pub const DEPTH_MAX: usize = 64;

/// The documents of a file, empty ones left out. A file that does not parse gives none of the documents behind the error.
pub(crate) fn documents(file: &str, text: &str, report: &mut Report) -> Vec<Node> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let failed = match event {
            Ok((event, span)) => builder.event(event, span).err(),
            Err(error) => Some((
                (error.marker().line(), error.marker().col() + 1),
                format!("is not valid YAML: {}", error.info()),
            )),
        };
        if let Some(((line, column), message)) = failed {
            let place = Place {
                file: file.to_owned(),
                line,
                column,
            };
            report.problem(&place, "", message);
            break;
        }
    }
    for (at, name) in builder.repeated {
        let place = Place {
            file: file.to_owned(),
            line: at.0,
            column: at.1,
        };
        report.problem(
            &place,
            "",
            format!("key `{name}` occurs twice in one mapping; remove one"),
        );
    }
    builder.documents
}

type Failure = (At, String);

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    repeated: Vec<(At, String)>,
}

/// A list or mapping that has begun.
struct Open {
    at: At,
    anchor: usize,
    into: Into,
}

enum Into {
    List(Vec<Node>),
    Map {
        entries: Vec<(Key, Node)>,
        names: HashSet<String>,
        merged: Vec<Node>,
        /// The key whose value comes next, and whether it is `<<`.
        key: Option<(Key, bool)>,
    },
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Failure> {
        let at = (span.start.line(), span.start.col() + 1);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Alias(anchor) => {
                let named = self
                    .anchors
                    .get(&anchor)
                    .map(|node| (node.size, node.depth));
                let Some((size, depth)) = named else {
                    return Err((at, "an alias stands inside of what it names".to_owned()));
                };
                self.count(at, size, depth)?; // Before anything is copied.
                // The value keeps the place where it was written, which is where it has to be mended.
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Ok(());
                };
                self.value(at, node, 0, false)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(at, 1, 1)?;
                let plain = style == ScalarStyle::Plain;
                let kind = scalar(&text, plain, tag.as_deref()).map_err(|why| (at, why))?;
                let merge = plain && text == "<<";
                self.value(at, Node::new(at, kind), anchor, merge)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(at, anchor, tag.as_deref(), Into::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let into = Into::Map {
                    entries: Vec::new(),
                    names: HashSet::new(),
                    merged: Vec::new(),
                    key: None,
                };
                self.begin(at, anchor, tag.as_deref(), into)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { at, anchor, into }) = self.open.pop() else {
                    return Err((at, "a list or mapping ends that never began".to_owned()));
                };
                let kind = match into {
                    Into::List(items) => Kind::List(items),
                    Into::Map {
                        entries,
                        names,
                        merged,
                        ..
                    } => Kind::Map(merge(entries, names, merged)),
                };
                self.value(at, Node::new(at, kind), anchor, false)
            }
        }
    }

    fn begin(
        &mut self,
        at: At,
        anchor: usize,
        tag: Option<&Tag>,
        into: Into,
    ) -> Result<(), Failure> {
        self.count(at, 1, 1)?;
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && ["seq", "map"].contains(&tag.suffix.as_str()))
        {
            return Err((
                at,
                format!("tag {}{} is not used in manifests", tag.handle, tag.suffix),
            ));
        }
        self.open.push(Open { at, anchor, into });
        Ok(())
    }

    fn count(&mut self, at: At, size: usize, depth: usize) -> Result<(), Failure> {
        self.nodes = self.nodes.saturating_add(size);
        if self.nodes > NODES_MAX {
            return Err((
                at,
                format!("more than {NODES_MAX} values, aliases included; split the file"),
            ));
        }
        if self.open.len() + depth > DEPTH_MAX {
            return Err((
                at,
                format!("lists and mappings are nested more than {DEPTH_MAX} deep"),
            ));
        }
        Ok(())
    }

    fn value(&mut self, at: At, node: Node, anchor: usize, merge: bool) -> Result<(), Failure> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
            self.nodes += node.size;
        }
        match self.open.last_mut().map(|open| &mut open.into) {
            None => {
                if !matches!(node.kind, Kind::Null) {
                    self.documents.push(node);
                }
            }
            Some(Into::List(items)) => items.push(node),
            Some(Into::Map {
                entries,
                names,
                merged,
                key,
            }) => match key.take() {
                None => {
                    let name = match node.kind {
                        Kind::Text(text) => text,
                        Kind::Bool(_, raw) | Kind::Int(_, raw) | Kind::Number(raw) => raw,
                        Kind::Null | Kind::List(_) | Kind::Map(_) => {
                            return Err((at, "a key has to be a text".to_owned()));
                        }
                    };
                    *key = Some((Key { at, name }, merge));
                }
                Some((_, true)) => match node.kind {
                    Kind::List(items) => merged.extend(items),
                    _ => merged.push(node),
                },
                Some((key, false)) => {
                    if names.insert(key.name.clone()) {
                        entries.push((key, node));
                    } else {
                        self.repeated.push((key.at, key.name));
                    }
                }
            },
        }
        Ok(())
    }
}

/// `<<`: keys of the merged mappings that the mapping itself does not have; earlier ones first.
fn merge(
    mut entries: Vec<(Key, Node)>,
    mut names: HashSet<String>,
    merged: Vec<Node>,
) -> Vec<(Key, Node)> {
    for node in merged {
        if let Kind::Map(more) = node.kind {
            entries.extend(
                more.into_iter()
                    .filter(|(key, _)| names.insert(key.name.clone())),
            );
        }
    }
    entries
}

fn scalar(text: &str, plain: bool, tag: Option<&Tag>) -> Result<Kind, String> {
    let Some(tag) = tag else {
        return Ok(if plain {
            resolved(text)
        } else {
            Kind::Text(text.to_owned())
        });
    };
    match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
        (true, "str") => Ok(Kind::Text(text.to_owned())),
        (true, "int" | "bool" | "float" | "null") => Ok(resolved(text)),
        _ => Err(format!(
            "tag {}{} is not used in manifests",
            tag.handle, tag.suffix
        )),
    }
}

/// What a plain scalar is to readers of YAML 1.1: `no` and `on` are booleans, 010 is eight.
fn resolved(text: &str) -> Kind {
    let raw = || text.to_owned();
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Kind::Bool(true, raw());
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Kind::Bool(false, raw());
        }
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return Kind::Text(raw());
    }
    if let Some(number) = integer(text) {
        return Kind::Int(number, raw());
    }
    let unsigned = text.trim_start_matches(['+', '-']);
    let number = [".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"].contains(&unsigned)
        || (unsigned.contains(|c: char| c.is_ascii_digit())
            && unsigned
                .chars()
                .all(|c| c.is_ascii_digit() || ".eE+-_".contains(c))
            && text.replace('_', "").parse::<f64>().is_ok());
    if number {
        Kind::Number(raw())
    } else {
        Kind::Text(raw())
    }
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.replace('_', "");
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.strip_prefix('+').unwrap_or(&digits)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', b'o', ..] => (8, &digits[2..]),
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}
