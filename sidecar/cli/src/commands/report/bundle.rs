//! The files of a report, within bounds, and the archive that they become. What is added here was redacted before; the list of contents is written last.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::Value;

use super::redact::Redactor;

/// One file has no more bytes.
const FILE_BYTES_MAX: usize = 4 << 20;
/// All files together have no more bytes, before they are packed.
const BUNDLE_BYTES_MAX: usize = 128 << 20;
/// Files of one report.
const FILES_MAX: usize = 5_000;

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unread {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// What is in the report.
#[derive(Debug, Default)]
pub struct Bundle {
    /// Takes out what nobody should see.
    pub redactor: Redactor,
    files: Vec<(String, Vec<u8>)>,
    bytes: usize,
    unread: Vec<Unread>,
    shortened: Vec<String>,
    left_out: Vec<String>,
}

impl Bundle {
    /// A text, after everything secret was taken out of it.
    pub fn text(&mut self, path: String, text: &str) {
        let text = self.redactor.text(text);
        self.file(path, text);
    }

    /// Objects of Kubernetes as YAML, after everything secret was taken out of them.
    pub fn objects(&mut self, path: String, objects: &[Value], ours: &[&str]) {
        let mut text = String::new();
        for object in objects {
            let object = self.redactor.object(object, ours);
            text.push_str("---\n");
            match serde_yaml::to_string(&object) {
                Ok(yaml) => text.push_str(&yaml),
                Err(error) => self.unread(&path, &error),
            }
        }
        self.file(path, text);
    }

    /// A value as JSON, after everything secret was taken out of its texts.
    pub fn json(&mut self, path: String, value: &impl Serialize) {
        let value = serde_json::to_value(value).map(|value| self.redactor.object(&value, &[]));
        let text = value.and_then(|value| serde_json::to_string_pretty(&value));
        match text {
            Ok(text) => self.file(path, text + "\n"),
            Err(error) => self.unread(&path, &error),
        }
    }

    /// Something that could not be read; the report goes on.
    pub fn unread(&mut self, what: &str, why: &dyn std::fmt::Display) {
        let (what, why) = (
            self.redactor.text(what),
            self.redactor.text(&why.to_string()),
        );
        self.unread.push(Unread { what, why });
    }

    fn file(&mut self, path: String, mut text: String) {
        if text.len() > FILE_BYTES_MAX {
            let mut end = FILE_BYTES_MAX;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            self.shortened.push(path.clone());
        }
        let is_room = self.bytes + text.len() <= BUNDLE_BYTES_MAX && self.files.len() < FILES_MAX;
        if !is_room {
            self.left_out.push(path);
            return;
        }
        self.bytes += text.len();
        self.files.push((path, text.into_bytes()));
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// What could not be read.
    pub fn unreadable(&self) -> &[Unread] {
        &self.unread
    }

    /// What is in here, what was taken out, and what is lacking.
    fn manifest(&self, about: &Value) -> Value {
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|(path, bytes)| serde_json::json!({"path": path, "bytes": bytes.len()}))
            .collect();
        serde_json::json!({
            "about": about,
            "files": files,
            "redacted": self.redactor.counts(),
            "never": [
                "data of Secrets and ConfigMaps", "payloads and metadata of events", "values of environment variables of other containers",
                "commands, probes and hooks of other containers", "what somebody has applied (last-applied-configuration)",
            ],
            "unread": self.unread,
            "shortened": self.shortened,
            "leftOut": self.left_out,
        })
    }

    /// Looks through everything once more: what was added before a Secret was read may quote it.
    pub fn settle(&mut self) {
        for (_, bytes) in &mut self.files {
            let text = String::from_utf8_lossy(bytes);
            *bytes = self.redactor.unlearned(&text).into_bytes();
        }
        for Unread { what, why } in &mut self.unread {
            *what = self.redactor.unlearned(what);
            *why = self.redactor.unlearned(why);
        }
    }

    /// Writes everything below one folder, `manifest.json` first.
    pub fn write(
        &self,
        folder: &str,
        about: &Value,
        seconds: u64,
        out: impl Write,
    ) -> io::Result<()> {
        let manifest =
            serde_json::to_vec_pretty(&self.manifest(about)).map_err(io::Error::other)?;
        let first = [("manifest.json".to_owned(), manifest)];
        let mut archive = tar::Builder::new(GzEncoder::new(out, Compression::default()));
        for (path, bytes) in first.iter().chain(&self.files) {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(seconds);
            archive.append_data(&mut header, format!("{folder}/{path}"), bytes.as_slice())?;
        }
        archive.into_inner()?.finish()?.flush()
    }
}

/// A name as a part of a path: contexts may hold anything.
pub fn part(name: &str) -> String {
    let fits = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let part: String = name.chars().take(100).map(fits).collect();
    match part.trim_start_matches('.') {
        "" => "_".to_owned(),
        part => part.to_owned(),
    }
}

#[cfg(test)]
mod tests;
