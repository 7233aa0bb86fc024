//! Files and directories.

use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};
use tidelog_manifest::{FILE_BYTES_MAX, read};

use crate::{LINK, LOG};

fn check(directory: &Path, paths: &[&str], expected: &Expect) {
    let paths: Vec<_> = paths.iter().map(|path| directory.join(path)).collect();
    let error = read(&paths)
        .expect_err("this should have been refused")
        .to_string();
    expected.assert_eq(&error.replace(&directory.display().to_string(), "DIR"));
}

#[test]
fn directories_are_read_recursively_and_each_file_once() {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    fs::create_dir_all(at("links/deeper")).unwrap();
    fs::create_dir_all(at(".git")).unwrap();
    fs::write(at("log.yml"), format!("\u{feff}{LOG}")).unwrap();
    fs::write(at("links/deeper/core.yaml"), LINK).unwrap();
    fs::write(at("links/README.md"), "not: [yaml").unwrap();
    fs::write(at(".git/x.yaml"), "not: [yaml").unwrap();
    fs::write(
        at("other.json"),
        r#"{"apiVersion": "v1", "kind": "Secret"}"#,
    )
    .unwrap();
    let manifests = read(&[directory.path(), &at("log.yml")]).unwrap();
    assert_eq!(manifests.logs.len(), 1);
    assert_eq!(manifests.logs[0].links.len(), 1);
    assert_eq!(manifests.notes.len(), 1);
}

#[test]
fn a_file_that_is_named_is_read_whatever_its_extension() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("manifest"), LOG).unwrap();
    assert_eq!(
        read(&[directory.path().join("manifest")])
            .unwrap()
            .logs
            .len(),
        1
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("big.yaml"), "#".repeat(FILE_BYTES_MAX + 1)).unwrap();
    fs::write(at("latin1.yaml"), b"a: caf\xe9\n").unwrap();
    check(
        directory.path(),
        &["missing.yaml", "big.yaml", "latin1.yaml"],
        &expect![[r#"
            DIR/big.yaml: is larger than 1048576 bytes; split it
            DIR/latin1.yaml: is not UTF-8 (byte 6)
            DIR/missing.yaml: cannot be read: No such file or directory (os error 2)"#]],
    );
    check(
        directory.path(),
        &["empty"],
        &expect![
            "DIR/empty: no EventLog was found; a manifest has apiVersion tidelog.dev/v1alpha1 and kind EventLog"
        ],
    );
}

#[test]
fn too_many_files_and_directories_that_contain_themselves_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for at in 0..1001 {
        fs::write(directory.path().join(format!("{at}.yaml")), "").unwrap();
    }
    let error = read(&[directory.path()]).unwrap_err().to_string();
    assert!(error.contains("more than 1000 files"), "{error}");

    #[cfg(unix)]
    {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(directory.path(), directory.path().join("again")).unwrap();
        fs::write(directory.path().join("log.yaml"), LOG).unwrap();
        let error = read(&[directory.path()]).unwrap_err().to_string();
        assert!(error.contains("nested more than 16 deep"), "{error}");
    }
}
