//! A disk that gives out.
//!
//! The limit is real: a child process (this very test, told by a variable that it is the child) with a bound on the size of its files, so that
//! SQLite's own writes fail in the middle of a commit.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use tidelog_store::conformance::contents;
use tidelog_store::generate::Writer;
use tidelog_store::{CommitError, LogStore, StoreError};
use tidelog_store_sqlite::{SqliteOptions, SqliteStore};

use super::Data;

const FOLDER: &str = "TIDELOG_TEST_FOLDER";

/// Appends until that fails, then says how many events were acknowledged and ends without closing anything.
async fn run_out_of_room(folder: &Path) -> ! {
    let options = SqliteOptions {
        log: "orders".into(),
        location: tidelog_store::generate::location("eu"),
    };
    let store = SqliteStore::open(folder, options).await.expect("a store");
    let mut writer = Writer::start(&store).await;
    let mut refused = 0;
    let mut acknowledged = 0;
    // Go on for a while: every refusal is definite and leaves a log that can be read, and small batches may still fit.
    for size in (1..=40).rev().cycle().take(200) {
        let mut attempt = writer.clone();
        let batch = attempt.append(size, |_, e| {
            e.payload = vec![7; 3_000].into();
            e.request_id = format!("r{}", e.id.sequence);
        });
        match store.commit(&batch).await {
            Ok(()) => {
                acknowledged = batch.head();
                writer = attempt;
            }
            Err(CommitError::Failed(StoreError::Unavailable(_) | StoreError::Full(_))) => {
                refused += 1;
                let state = store.state().await.expect("the state");
                assert_eq!((state.head, state.hash), (writer.head, writer.hash));
            }
            Err(other) => unreachable!("{other:?}"),
        }
    }
    let said = format!("acknowledged={acknowledged} refused={refused}.\n");
    std::io::stdout()
        .write_all(said.as_bytes())
        .expect("somebody listens");
    std::process::exit(0);
}

#[tokio::test]
async fn a_commit_that_runs_out_of_room_is_refused_and_never_comes_back() {
    if let Ok(folder) = std::env::var(FOLDER) {
        run_out_of_room(Path::new(&folder)).await;
    }
    let data = Data::new();
    let program = std::env::current_exe().expect("this program");
    // Ignoring the signal turns it into a failed write.
    let child = Command::new("sh")
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 2000; exec \"$0\" --exact room::a_commit_that_runs_out_of_room_is_refused_and_never_comes_back --nocapture")
        .arg(program)
        .env(FOLDER, data.folder())
        .output()
        .expect("a child");
    let said = String::from_utf8_lossy(&child.stdout);
    let number = |key: &str| -> u64 {
        let rest = said.split(key).nth(1).unwrap_or_else(|| {
            panic!("{said}\n{}", String::from_utf8_lossy(&child.stderr));
        });
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    let acknowledged = number("acknowledged=");
    assert!(acknowledged > 40, "{said}");
    assert!(number("refused=") > 10, "{said}");

    // With room again the log is what was acknowledged, and goes on.
    let store = data.store().await;
    let held = contents(&store).await;
    assert_eq!(held.state.head, acknowledged);
    let mut writer = Writer::start_as(&store, "eu", 2).await;
    let batch = writer.append(40, |_, e| e.payload = vec![7; 3_000].into());
    store.commit(&batch).await.expect("there is room again");
}
