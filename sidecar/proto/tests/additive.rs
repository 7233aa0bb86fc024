//! Version 1 only grows: what was once in the API keeps its number, type and meaning, so that an old client understands a new server.
//!
//! `additive/tidelog.v1.txt` holds everything that was ever there, a line each. A line that is missing is a broken client; a new one has to be added
//! with `UPDATE_EXPECT=1`, which never takes one away.

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto,
};

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(tidelog_proto::FILE_DESCRIPTOR_SET).expect("own descriptors decode")
}

/// Everything that a client may rely on, a line each, in the order of the files.
fn lines(set: &FileDescriptorSet) -> Vec<String> {
    let mut lines = Vec::new();
    let own = |package: &str| package == "tidelog.v1";
    for file in set.file.iter().filter(|file| own(file.package())) {
        for one in &file.service {
            service(one, &mut lines);
        }
        for one in &file.message_type {
            message("", one, &mut lines);
        }
        for one in &file.enum_type {
            enumeration("", one, &mut lines);
        }
    }
    lines
}

fn service(service: &ServiceDescriptorProto, lines: &mut Vec<String>) {
    let side = |streams: bool, name: &str| {
        let stream = if streams { "stream " } else { "" };
        format!("{stream}{}", short(name))
    };
    for call in &service.method {
        lines.push(format!(
            "call {}.{}: {} -> {}",
            service.name(),
            call.name(),
            side(call.client_streaming(), call.input_type()),
            side(call.server_streaming(), call.output_type())
        ));
    }
}

fn message(outer: &str, message_: &DescriptorProto, lines: &mut Vec<String>) {
    let name = format!("{outer}{}", message_.name());
    lines.push(format!("message {name}"));
    for range in &message_.reserved_range {
        let reserved = range.start()..range.end();
        lines.extend(reserved.map(|number| format!("field {name} {number}: reserved")));
    }
    for field in &message_.field {
        lines.push(format!(
            "field {name} {}: {} {}",
            field.number(),
            field.name(),
            kind(message_, field)
        ));
    }
    for one in &message_.nested_type {
        message(&format!("{name}."), one, lines);
    }
    for one in &message_.enum_type {
        enumeration(&format!("{name}."), one, lines);
    }
}

fn enumeration(outer: &str, enumeration: &EnumDescriptorProto, lines: &mut Vec<String>) {
    let name = format!("{outer}{}", enumeration.name());
    for range in &enumeration.reserved_range {
        // Unlike that of a message, this range includes its end.
        let reserved = range.start()..=range.end();
        lines.extend(reserved.map(|number| format!("value {name} {number}: reserved")));
    }
    for value in &enumeration.value {
        lines.push(format!("value {name} {}: {}", value.number(), value.name()));
    }
}

/// Type and label; a place in a `oneof` is one, since setting a field of it clears the others.
fn kind(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let of = match field.r#type() {
        Type::Message | Type::Enum | Type::Group => short(field.type_name()).to_owned(),
        other => other
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    };
    if field.label() == Label::Repeated {
        return format!("repeated {of}");
    }
    if field.proto3_optional() {
        return format!("optional {of}");
    }
    let choice = field
        .oneof_index
        .and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?));
    match choice {
        Some(choice) => format!("oneof {} {of}", choice.name()),
        None => of,
    }
}

fn short(name: &str) -> &str {
    name.trim_start_matches(".tidelog.v1.")
        .trim_start_matches('.')
}

/// What is in `these` and not in `those`.
fn missing(these: &[String], those: &[String]) -> Vec<String> {
    let those: BTreeSet<&String> = those.iter().collect();
    these
        .iter()
        .filter(|line| !those.contains(line))
        .cloned()
        .collect()
}

#[test]
fn nothing_of_version_1_is_changed_or_taken_away() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/additive/tidelog.v1.txt");
    let held = fs::read_to_string(&file).unwrap_or_default();
    let held: Vec<String> = held.lines().map(str::to_owned).collect();
    let now = lines(&descriptors());
    let gone = missing(&held, &now);
    assert!(
        gone.is_empty(),
        "clients of tidelog.v1 rely on what is no longer there, or not as it was:\n  {}\nPut it back and add a new field, value or call \
         beside it. What nobody needs any more stays and is marked `deprecated`; its number is never used again.",
        gone.join("\n  ")
    );
    let new = missing(&now, &held);
    if new.is_empty() {
        return;
    }
    assert!(
        env::var_os("UPDATE_EXPECT").is_some(),
        "new in tidelog.v1:\n  {}\nOnce merged it stays for good. If that is meant: UPDATE_EXPECT=1 cargo test -p tidelog-proto --test additive",
        new.join("\n  ")
    );
    let mut text = now.join("\n");
    text.push('\n');
    fs::write(&file, text).expect("the list is written");
}

/// Changes that a client would notice, and what is missing after each.
#[test]
fn a_changed_field_value_or_call_is_missed() {
    type Change = fn(&mut FileDescriptorSet);
    fn field<'a>(set: &'a mut FileDescriptorSet, name: &str) -> &'a mut FieldDescriptorProto {
        status(set)
            .field
            .iter_mut()
            .find(|field| field.name() == name)
            .expect("a field of EdgeStatus")
    }
    fn status(set: &mut FileDescriptorSet) -> &mut DescriptorProto {
        set.file
            .iter_mut()
            .flat_map(|file| &mut file.message_type)
            .find(|message| message.name() == "EdgeStatus")
            .expect("EdgeStatus")
    }
    let held = lines(&descriptors());
    let changes: &[(&str, Change)] = &[
        ("field EdgeStatus 1: source string", |set| {
            field(set, "source").number = Some(99);
        }),
        ("field EdgeStatus 1: source string", |set| {
            field(set, "source").name = Some("from".to_owned());
        }),
        ("field EdgeStatus 1: source string", |set| {
            field(set, "source").set_label(Label::Repeated);
        }),
        ("field EdgeStatus 7: progress uint64", |set| {
            field(set, "progress").set_type(Type::Int64);
        }),
        ("field EdgeStatus 9: source_head optional uint64", |set| {
            field(set, "source_head").proto3_optional = None;
            field(set, "source_head").oneof_index = None;
        }),
        ("field EdgeStatus 25: address string", |set| {
            status(set).field.retain(|field| field.name() != "address");
        }),
        ("field EdgeStatus 15: reserved", |set| {
            status(set).reserved_range.clear();
        }),
        ("value EdgeState 1: EDGE_STATE_PENDING", |set| {
            let all = set.file.iter_mut().flat_map(|file| &mut file.enum_type);
            for one in all.filter(|one| one.name() == "EdgeState") {
                one.value[1].number = Some(77);
            }
        }),
        (
            "call LogService.Append: AppendRequest -> AppendResponse",
            |set| {
                let all = set.file.iter_mut().flat_map(|file| &mut file.service);
                for one in all.filter(|one| one.name() == "LogService") {
                    one.method[0].server_streaming = Some(true);
                }
            },
        ),
    ];
    for (lost, change) in changes {
        let mut set = descriptors();
        change(&mut set);
        let gone = missing(&held, &lines(&set));
        assert!(
            gone.iter().any(|line| line == lost),
            "{lost} not in {gone:?}"
        );
    }
}
