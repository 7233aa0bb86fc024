//! Services and messages, from the descriptors that server reflection answers with, and the comments of the `.proto` files.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, ServiceDescriptorProto,
};

use super::cell;

const HEAD: &str = "\
# gRPC API

Package `tidelog.v1`, version 1: fields are added, never reused. The files are in [sidecar/proto/proto](../../sidecar/proto/proto); servers answer
reflection on the application and the admin port, so `grpcurl` needs no files. `LogService` is for applications (port 7440 and a Unix socket),
`AdminService` for the command line (7444), `ReplicationService` is between locations (7443) and no interface for applications.

What a call answers when it fails is in [errors](errors.md), what fields may hold in [limits](limits.md). JSON is the protobuf mapping: lowerCamelCase names, 64-bit integers
as strings, bytes as base64. Text forms of ids, positions and vectors (`eu#1/42`, `1/42`, `eu#1:42,us#1:7`) are used by the command line and in messages of errors.

The order that `context` gives is that of vector clocks (Fidge, Mattern 1988) with one entry per location and incarnation, so a plausible clock (Torres-Rojas, Ahamad
1999): events of one location are always ordered. `time` is a hybrid logical clock (Kulkarni et al. 2014). `Condition` is a dynamic consistency boundary. Digests are BLAKE3.
";

/// Field numbers of descriptors, which is how comments name their place.
mod tag {
    pub const MESSAGE: i32 = 4;
    pub const ENUM: i32 = 5;
    pub const SERVICE: i32 = 6;
    pub const FIELD: i32 = 2;
    pub const NESTED: i32 = 3;
    pub const METHOD: i32 = 2;
    pub const VALUE: i32 = 2;
}

/// The page.
pub fn page() -> Result<String> {
    let set = FileDescriptorSet::decode(tidelog_proto::FILE_DESCRIPTOR_SET)?;
    let mut out = HEAD.to_owned();
    for name in ["log", "types", "admin", "replication"] {
        let path = format!("tidelog/v1/{name}.proto");
        let file = set
            .file
            .iter()
            .find(|file| file.name() == path)
            .with_context(|| format!("no descriptor of {path}"))?;
        Writer::new(file).file(&path, &mut out);
    }
    Ok(out)
}

struct Writer<'a> {
    file: &'a FileDescriptorProto,
    comments: BTreeMap<Vec<i32>, String>,
}

// Writing to a String cannot fail: results of `write!` are dropped.
impl<'a> Writer<'a> {
    fn new(file: &'a FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let comments = locations
            .filter_map(|l| Some((l.path.clone(), l.leading_comments.clone()?)))
            .collect();
        Self { file, comments }
    }

    fn comment(&self, path: &[i32]) -> String {
        let text = self.comments.get(path).map_or("", String::as_str);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn file(&self, path: &str, out: &mut String) {
        let _ = write!(out, "\n## {path}\n");
        for (index, service) in (0..).zip(&self.file.service) {
            self.service(&[tag::SERVICE, index], service, out);
        }
        for (index, message) in (0..).zip(&self.file.message_type) {
            self.message(&[tag::MESSAGE, index], message.name(), message, out);
        }
        for (index, one) in (0..).zip(&self.file.enum_type) {
            self.enumeration(&[tag::ENUM, index], one, out);
        }
    }

    fn service(&self, path: &[i32], service: &ServiceDescriptorProto, out: &mut String) {
        let _ = write!(
            out,
            "\n### {}\n\n{}\n\n| call | request | answer | meaning |\n|---|---|---|---|\n",
            service.name(),
            self.comment(path)
        );
        for (index, method) in (0..).zip(&service.method) {
            let side = |streams: bool, name: &str| {
                let stream = if streams { "stream of " } else { "" };
                format!("{stream}{}", link(name))
            };
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {} |",
                method.name(),
                side(method.client_streaming(), method.input_type()),
                side(method.server_streaming(), method.output_type()),
                cell(&self.comment(&join(path, &[tag::METHOD, index])))
            );
        }
    }

    fn message(&self, path: &[i32], name: &str, message: &DescriptorProto, out: &mut String) {
        let _ = write!(out, "\n### {name}\n\n{}\n", self.comment(path));
        let maps: BTreeMap<&str, &DescriptorProto> = message
            .nested_type
            .iter()
            .filter(|nested| {
                nested
                    .options
                    .as_ref()
                    .is_some_and(prost_types::MessageOptions::map_entry)
            })
            .map(|nested| (nested.name(), nested))
            .collect();
        if !message.field.is_empty() {
            out.push_str("\n| field | number | type | meaning |\n|---|---|---|---|\n");
        }
        for (index, field) in (0..).zip(&message.field) {
            let mut words = self.comment(&join(path, &[tag::FIELD, index]));
            if let Some(choice) = field.oneof_index.filter(|_| !field.proto3_optional()) {
                let choice = message
                    .oneof_decl
                    .get(choice as usize)
                    .map_or("", |one| one.name());
                words = format!("One of `{choice}`: {words}");
            }
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {} |",
                field.name(),
                field.number(),
                kind(field, &maps),
                cell(&words)
            );
        }
        for (index, nested) in (0..).zip(&message.nested_type) {
            if !maps.contains_key(nested.name()) {
                let name = format!("{name}.{}", nested.name());
                self.message(&join(path, &[tag::NESTED, index]), &name, nested, out);
            }
        }
    }

    fn enumeration(&self, path: &[i32], one: &EnumDescriptorProto, out: &mut String) {
        let _ = write!(
            out,
            "\n### {}\n\n{}\n\n| value | number | meaning |\n|---|---|---|\n",
            one.name(),
            self.comment(path)
        );
        for (index, value) in (0..).zip(&one.value) {
            let _ = writeln!(
                out,
                "| `{}` | {} | {} |",
                value.name(),
                value.number(),
                cell(&self.comment(&join(path, &[tag::VALUE, index])))
            );
        }
    }
}

fn join(path: &[i32], more: &[i32]) -> Vec<i32> {
    [path, more].concat()
}

fn kind(field: &FieldDescriptorProto, maps: &BTreeMap<&str, &DescriptorProto>) -> String {
    let of = |field: &FieldDescriptorProto| match field.r#type() {
        Type::Message | Type::Enum => link(field.type_name()),
        other => format!(
            "`{}`",
            other
                .as_str_name()
                .trim_start_matches("TYPE_")
                .to_lowercase()
        ),
    };
    let last = field.type_name().rsplit('.').next().unwrap_or_default();
    if let Some(map) = maps.get(last)
        && let [key, value] = map.field.as_slice()
    {
        return format!("map of {} to {}", of(key), of(value));
    }
    match field.label() {
        Label::Repeated => format!("list of {}", of(field)),
        _ if field.proto3_optional() => format!("optional {}", of(field)),
        _ => of(field),
    }
}

/// A type of this page as a link, any other by name.
fn link(name: &str) -> String {
    match name.strip_prefix(".tidelog.v1.") {
        Some(own) => format!("[{own}](#{})", own.to_lowercase().replace('.', "")),
        None => format!("`{}`", name.trim_start_matches('.')),
    }
}
