//! The scripts below `tests/tools` and `.ci`: they end with the right word and never take a failure for a pass.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tidelog_house::Tree;

/// A program that another thread is just writing cannot be executed ("text file busy"), not even for the moment in which a third thread's child has
/// inherited the open file: files are written and children started one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a command to its end.
fn run(command: &mut Command) -> std::io::Result<Output> {
    let child = {
        let _alone = one_at_a_time();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?
    };
    child.wait_with_output()
}

fn tool(name: &str) -> Result<PathBuf> {
    Ok(Tree::open()?.root().join("tests/tools").join(name))
}

fn sum(log: &str) -> Result<String> {
    let mut child = {
        let _alone = one_at_a_time();
        Command::new(tool("sum-tests.sh")?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?
    };
    child
        .stdin
        .take()
        .context("no stdin")?
        .write_all(log.as_bytes())?;
    Ok(String::from_utf8(child.wait_with_output()?.stdout)?
        .trim()
        .to_owned())
}

/// A folder with programs that only say what is given here.
struct Programs(TempDir);

impl Programs {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn add(&self, name: &str, script: &str) -> Result<()> {
        let file = self.path().join(name);
        let _alone = one_at_a_time();
        fs::write(&file, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    fn postgres(&self, version: &str) -> Result<()> {
        for name in ["initdb", "pg_ctl", "postgres"] {
            self.add(
                name,
                &format!("echo 'postgres (PostgreSQL) {version} (Somewhere)'"),
            )?;
        }
        Ok(())
    }

    /// The usual small tools, without any database, compiler or package manager among them.
    fn basics(&self) -> Result<()> {
        for name in ["bash", "env", "dirname", "readlink", "sed", "cat"] {
            self.link(name)?;
        }
        self.add("id", "echo 1000")
    }

    /// A program of this machine.
    fn link(&self, name: &str) -> Result<()> {
        let found = ["/usr/bin", "/bin"]
            .map(|folder| Path::new(folder).join(name))
            .into_iter()
            .find(|path| path.exists())
            .with_context(|| format!("{name} not found"))?;
        std::os::unix::fs::symlink(found, self.path().join(name))?;
        Ok(())
    }
}

fn ensure_postgres(path: &Path, search: &Path, named: Option<&Path>) -> Result<Output> {
    let mut command = Command::new("/usr/bin/env");
    command
        .env_clear()
        .env("PATH", path)
        .env("TIDELOG_POSTGRES_SEARCH", search)
        .arg("bash")
        .arg(tool("ensure-postgres.sh")?);
    if let Some(named) = named {
        command.env("TIDELOG_POSTGRES_BIN", named);
    }
    Ok(run(&mut command)?)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn sums_results_over_colours_and_glued_lines() -> Result<()> {
    let log = "running 3 tests\n\
        test result: \u{1b}[32mok\u{1b}[0m. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\r\n\
        noise test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured\n\
        test result: ok. 1 passed; 0 failed; 0 ignored; test result: ok. 2 passed; 0 failed; 0 ignored;\n";
    assert_eq!(sum(log)?, "16 2 1");
    Ok(())
}

#[test]
fn counts_a_test_that_says_it_was_skipped_as_skipped() -> Result<()> {
    let log = "test a ... SKIPPED: no database here\nok\n\
        SKIPPED STEP: lint is not judged\n\
        test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured\n";
    assert_eq!(sum(log)?, "4 0 2");
    Ok(())
}

#[test]
fn sums_nothing_to_zero() -> Result<()> {
    assert_eq!(sum("error: could not compile `tidelog-core`\n")?, "0 0 0");
    Ok(())
}

#[test]
fn takes_the_newest_complete_postgres() -> Result<()> {
    let (path, old, new) = (Programs::new()?, Programs::new()?, Programs::new()?);
    path.basics()?;
    old.postgres("14.9")?;
    new.postgres("17.2")?;
    let both = format!("{} {}", old.path().display(), new.path().display());
    let output = ensure_postgres(path.path(), Path::new(&both), None)?;
    assert_eq!(
        stdout(&output),
        new.path().display().to_string(),
        "{}",
        stderr(&output)
    );
    fs::remove_file(new.path().join("pg_ctl"))?;
    let output = ensure_postgres(path.path(), Path::new(&both), None)?;
    assert_eq!(
        stdout(&output),
        old.path().display().to_string(),
        "{}",
        stderr(&output)
    );
    Ok(())
}

#[test]
fn follows_a_link_in_path_to_the_folder_of_all_programs() -> Result<()> {
    let (path, real) = (Programs::new()?, Programs::new()?);
    path.basics()?;
    real.postgres("15.13")?;
    std::os::unix::fs::symlink(real.path().join("initdb"), path.path().join("initdb"))?;
    let output = ensure_postgres(path.path(), Path::new(""), None)?;
    let expected = real.path().canonicalize()?;
    assert_eq!(
        stdout(&output),
        expected.display().to_string(),
        "{}",
        stderr(&output)
    );
    Ok(())
}

#[test]
fn says_what_to_install_when_postgres_is_missing_or_too_old() -> Result<()> {
    let (path, old) = (Programs::new()?, Programs::new()?);
    path.basics()?;
    old.postgres("13.4")?;
    for search in [Path::new(""), old.path()] {
        let output = ensure_postgres(path.path(), search, None)?;
        ensure!(!output.status.success(), "passed with {}", search.display());
        ensure!(stdout(&output).is_empty(), "{}", stdout(&output));
        ensure!(
            stderr(&output).contains("apt-get install postgresql"),
            "{}",
            stderr(&output)
        );
    }
    Ok(())
}

#[test]
fn installs_postgres_as_root_where_there_is_apt() -> Result<()> {
    let (path, installed) = (Programs::new()?, Programs::new()?);
    path.basics()?;
    path.add("id", "echo 0")?;
    installed.postgres("15.13")?;
    // What the package manager would do: afterwards the programs are in PATH.
    let links = format!(
        "[ \"$1\" = install ] || exit 0\nfor p in initdb pg_ctl postgres; do /bin/ln -s {0}/$p {1}/$p; done",
        installed.path().display(),
        path.path().display()
    );
    path.add("apt-get", &links)?;
    let output = ensure_postgres(path.path(), Path::new(""), None)?;
    ensure!(output.status.success(), "{}", stderr(&output));
    ensure!(
        stderr(&output).contains("installing"),
        "{}",
        stderr(&output)
    );
    Ok(())
}

#[test]
fn refuses_a_named_folder_without_postgres() -> Result<()> {
    let (path, empty, other) = (Programs::new()?, Programs::new()?, Programs::new()?);
    path.basics()?;
    other.postgres("16.1")?;
    let output = ensure_postgres(path.path(), other.path(), Some(empty.path()))?;
    ensure!(!output.status.success(), "took {}", stdout(&output));
    ensure!(
        stderr(&output).contains("TIDELOG_POSTGRES_BIN="),
        "{}",
        stderr(&output)
    );
    Ok(())
}

#[test]
fn says_what_to_install_without_a_c_compiler() -> Result<()> {
    let path = Programs::new()?;
    path.basics()?;
    let look = || {
        let mut command = Command::new("/usr/bin/env");
        command
            .env_clear()
            .env("PATH", path.path())
            .arg("bash")
            .arg(tool("ensure-cc.sh")?);
        run(&mut command).context("run ensure-cc.sh")
    };
    let output = look()?;
    ensure!(!output.status.success(), "found {}", stdout(&output));
    ensure!(
        stderr(&output).contains("apt-get install gcc"),
        "{}",
        stderr(&output)
    );
    path.add("clang", "true")?;
    ensure!(look()?.status.success(), "clang is a C compiler");
    Ok(())
}

#[test]
fn says_what_to_install_without_curl() -> Result<()> {
    let path = Programs::new()?;
    path.basics()?;
    let look = || {
        let mut command = Command::new("/usr/bin/env");
        command
            .env_clear()
            .env("PATH", path.path())
            .arg("bash")
            .arg(tool("ensure-curl.sh")?);
        run(&mut command).context("run ensure-curl.sh")
    };
    let output = look()?;
    ensure!(!output.status.success(), "found {}", stdout(&output));
    ensure!(
        stderr(&output).contains("apt-get install curl"),
        "{}",
        stderr(&output)
    );
    path.add("curl", "true")?;
    let output = look()?;
    ensure!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        path.path().join("curl").display().to_string()
    );
    Ok(())
}

/// What a Go of some version does: one that is too old refuses to build, and fetches the toolchain as a module, if it is there.
fn old_go(version: &str, builds: bool, fetches: bool) -> String {
    format!(
        r#"case "$1 $2" in
"version ") echo "go version go{version} linux/amd64" ;;
"env GOHOSTOS") echo linux ;;
"env GOHOSTARCH") echo amd64 ;;
"mod download")
  {fetches} || {{ echo "no such host" >&2; exit 1; }}
  dir=$GOMODCACHE/toolchain
  mkdir -p $dir/bin $dir/pkg/tool && echo module std > $dir/_go.mod || exit 1
  # As its module holds it: without permission to run, its go.mod renamed.
  cat > $dir/bin/go <<'NEWER'
#!/bin/sh
[ "$1" = install ] && [ -f "${{0%/bin/go}}/go.mod" ] && echo newer > $GOBIN/grpcurl && chmod +x $GOBIN/grpcurl
NEWER
  printf '{{\n\t"Path": "golang.org/toolchain",\n\t"Dir": "%s",\n\t"Sum": "h1:x"\n}}\n' $dir ;;
install*) {builds} || exit 1; echo this > $GOBIN/grpcurl && chmod +x $GOBIN/grpcurl ;;
*) exit 1 ;;
esac"#
    )
}

/// Looks for grpcurl where there is only a Go that says `go`.
fn ensure_grpcurl(go: &str) -> Result<(TempDir, Output)> {
    let path = Programs::new()?;
    path.basics()?;
    for name in ["mkdir", "chmod", "mv", "rm", "find"] {
        path.link(name)?;
    }
    path.add("go", go)?;
    let tools = tempfile::tempdir()?;
    let mut command = Command::new("/usr/bin/env");
    command
        .env_clear()
        .env("PATH", path.path())
        .env("TIDELOG_TOOLS_DIR", tools.path())
        .arg("bash")
        .arg(tool("ensure-grpcurl.sh")?);
    Ok((tools, run(&mut command)?))
}

#[test]
fn grpcurl_is_built_with_the_go_that_is_there() -> Result<()> {
    for version in ["1.21.0", "1.26.8"] {
        let (tools, output) = ensure_grpcurl(&old_go(version, true, false))?;
        ensure!(output.status.success(), "{}", stderr(&output));
        let built = tools.path().join("bin/grpcurl");
        assert_eq!(stdout(&output), built.display().to_string());
        assert_eq!(fs::read_to_string(built)?.trim(), "this", "Go {version}");
    }
    Ok(())
}

#[test]
fn a_go_that_is_too_old_fetches_a_newer_one_to_build_grpcurl() -> Result<()> {
    let (tools, output) = ensure_grpcurl(&old_go("1.19.8", false, true))?;
    ensure!(output.status.success(), "{}", stderr(&output));
    let built = tools.path().join("bin/grpcurl");
    assert_eq!(stdout(&output), built.display().to_string());
    assert_eq!(fs::read_to_string(built)?.trim(), "newer");
    ensure!(
        !tools.path().join("go-fetch").exists(),
        "what was fetched lies around twice"
    );
    Ok(())
}

#[test]
fn a_newer_go_that_cannot_be_fetched_is_told_with_the_way_out() -> Result<()> {
    let (_tools, output) = ensure_grpcurl(&old_go("1.19.8", false, false))?;
    ensure!(!output.status.success(), "found {}", stdout(&output));
    ensure!(
        stderr(&output).contains("install Go 1.21 or later"),
        "{}",
        stderr(&output)
    );
    Ok(())
}

/// Runs `script` in a copy of the tools where `make <step>` does what `make` says here.
fn with_make(script: &str, make: &str) -> Result<Output> {
    let root = tempfile::tempdir()?;
    let here = Tree::open()?.root().to_path_buf();
    for file in [
        ".ci/run",
        "tests/tools/run-tests.sh",
        "tests/tools/sum-tests.sh",
        "Makefile",
    ] {
        let target = root.path().join(file);
        fs::create_dir_all(target.parent().context("a file without folder")?)?;
        let _alone = one_at_a_time();
        fs::copy(here.join(file), target)?;
    }
    let programs = Programs::new()?;
    programs.add("make", make)?;
    let path = std::env::var("PATH")?;
    let mut command = Command::new(root.path().join(script));
    command
        .current_dir(root.path())
        .env("PATH", format!("{}:{path}", programs.path().display()))
        .env_remove("CI")
        .env_remove("CARGO_TARGET_DIR");
    Ok(run(&mut command)?)
}

fn last_line(output: &Output) -> String {
    stdout(output).lines().last().unwrap_or_default().to_owned()
}

// One name for all steps: the last argument of `make --no-print-directory <step>`.
const STEP: &str = "for step; do :; done";

#[test]
fn the_run_of_all_tests_ends_with_a_clear_word() -> Result<()> {
    let make = format!(
        "{STEP}\n[ $step != test-unit ] || echo 'test result: ok. 7 passed; 0 failed; 0 ignored;'"
    );
    let output = with_make("tests/tools/run-tests.sh", &make)?;
    ensure!(output.status.success(), "{}", stdout(&output));
    assert_eq!(last_line(&output), "all tests passed");
    ensure!(
        stdout(&output).contains("7 passed, 0 failed, 0 skipped"),
        "{}",
        stdout(&output)
    );
    Ok(())
}

#[test]
fn a_failing_step_is_named_and_the_others_still_run() -> Result<()> {
    let make = format!("{STEP}\necho \"ran $step\"\n[ $step != house ] && [ $step != test-unit ]");
    let output = with_make("tests/tools/run-tests.sh", &make)?;
    ensure!(!output.status.success(), "passed");
    assert_eq!(last_line(&output), "failed: house, test-unit");
    ensure!(
        stdout(&output).contains("ran test-integration"),
        "{}",
        stdout(&output)
    );
    Ok(())
}

#[test]
fn tests_that_do_not_build_are_not_run() -> Result<()> {
    let make = format!("{STEP}\necho \"ran $step\"\n[ $step != build-tests ]");
    let output = with_make("tests/tools/run-tests.sh", &make)?;
    ensure!(!output.status.success(), "passed");
    ensure!(
        last_line(&output).contains("build-tests, test-unit (not run)"),
        "{}",
        last_line(&output)
    );
    ensure!(
        !stdout(&output).contains("ran test-unit"),
        "{}",
        stdout(&output)
    );
    Ok(())
}

#[test]
fn ci_ends_with_the_sum_and_the_code_of_make() -> Result<()> {
    for (make, code, line) in [
        (
            "echo 'test result: ok. 7 passed; 0 failed; 0 ignored;'",
            0,
            "7 passed, 0 failed, 0 skipped",
        ),
        (
            "echo 'test result: FAILED. 6 passed; 1 failed; 0 ignored;'; exit 2",
            2,
            "6 passed, 1 failed, 0 skipped",
        ),
        // A step that has no tests of its own.
        (
            "echo 'test result: ok. 7 passed; 0 failed; 0 ignored;'; exit 2",
            2,
            "7 passed, 1 failed, 0 skipped",
        ),
        // A failure that make has swallowed.
        (
            "echo 'test result: FAILED. 6 passed; 1 failed; 0 ignored;'",
            1,
            "6 passed, 1 failed, 0 skipped",
        ),
        // Something that did not run.
        (
            "echo 'test result: ok. 7 passed; 0 failed; 2 ignored;'",
            1,
            "7 passed, 0 failed, 2 skipped",
        ),
    ] {
        // Each stage decides alone.
        let stages = ["test", "test-cluster", "check"];
        for stage in stages {
            let make = format!("{STEP}\n[ $step = {stage} ] || exit 0\n{make}");
            let output = with_make(".ci/run", &make)?;
            assert_eq!(last_line(&output), line, "{stage}");
            assert_eq!(output.status.code(), Some(code), "{stage}: {line}");
        }
    }
    Ok(())
}

#[test]
fn ci_does_not_accept_skipped_tests() -> Result<()> {
    // `make test` itself, in CI.
    let make = format!(
        "{STEP}\nif [ $step = test ]; then exec tests/tools/run-tests.sh; fi\n\
         [ $step != test-unit ] || echo 'test result: ok. 7 passed; 0 failed; 2 ignored;'"
    );
    let output = with_make(".ci/run", &make)?;
    ensure!(!output.status.success(), "passed");
    ensure!(stdout(&output).contains("2 SKIPPED"), "{}", stdout(&output));
    assert_eq!(last_line(&output), "7 passed, 1 failed, 2 skipped");
    Ok(())
}

#[test]
fn scripts_are_strict_and_executable() -> Result<()> {
    let tree = Tree::open()?;
    let scripts = tree.files().iter().filter(|file| {
        Path::new(file.as_str())
            .extension()
            .is_some_and(|ending| ending == "sh")
            || file.as_str() == ".ci/run"
    });
    for file in scripts {
        let path = tree.root().join(file);
        let text = fs::read_to_string(&path)?;
        ensure!(
            text.starts_with("#!/usr/bin/env bash\n"),
            "{file}: first line is not #!/usr/bin/env bash"
        );
        ensure!(
            text.contains("\nset -euo pipefail\n"),
            "{file}: no `set -euo pipefail`"
        );
        ensure!(
            fs::metadata(&path)?.permissions().mode() & 0o111 != 0,
            "{file}: not executable"
        );
        let check = run(Command::new("bash").arg("-n").arg(&path))?;
        ensure!(check.status.success(), "{file}: {}", stderr(&check));
    }
    Ok(())
}
