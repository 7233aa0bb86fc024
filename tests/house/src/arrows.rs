//! Which room may import which. [`TABLE`] is the architecture; `docs/ARCHITECTURE.md` shows it and is compared with it.
//!
//! A new arrow is a decision: it changes the table here, the map there (`make map`), and needs a reason in the commit.

use std::collections::BTreeSet;

use crate::finding::Finding;
use crate::workspace::{Room, Workspace};

/// What kind of room it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Values and decisions: no I/O, no runtime, no network; see [`crate::purity`].
    Pure,
    /// Talks to the world: databases, sockets, tasks.
    Driver,
    /// Builds a program; nothing imports it.
    Binary,
    /// Judges the others; only tests import it.
    Test,
}

/// One row: a room, its rank, and the rooms that it may import.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Folder of the room.
    pub room: &'static str,
    /// Its rank.
    pub rank: Rank,
    /// Folders that its code may import.
    pub may_import: &'static [&'static str],
}

const fn row(room: &'static str, rank: Rank, may_import: &'static [&'static str]) -> Row {
    Row {
        room,
        rank,
        may_import,
    }
}

const ACCESS: &str = "operator/access";
const API: &str = "operator/api";
const BUILD: &str = "operator/build";
const CONTROLLER: &str = "operator/controller";
const MANIFEST: &str = "operator/manifest";
const PKI: &str = "operator/pki";
const STATUS: &str = "operator/status";
const TOPOLOGY: &str = "operator/topology";
const WEBHOOK: &str = "operator/webhook";
const CONFIG: &str = "sidecar/config";
const CORE: &str = "sidecar/core";
const ENGINE: &str = "sidecar/engine";
const FILTER: &str = "sidecar/filter";
const MODEL: &str = "sidecar/model";
const PROTO: &str = "sidecar/proto";
const REPLICATION: &str = "sidecar/replication";
const SERVER: &str = "sidecar/server";
const STORE: &str = "sidecar/store";
const STORE_POSTGRES: &str = "sidecar/store-postgres";
const STORE_SQLITE: &str = "sidecar/store-sqlite";
const TLS: &str = "sidecar/tls";
const HARNESS: &str = "tests/harness";

/// Every room of the workspace, in the order of the folders.
pub const TABLE: &[Row] = &[
    row(API, Rank::Pure, &[]),
    row(BUILD, Rank::Pure, &[API, CONFIG, MODEL, TOPOLOGY]),
    row("operator", Rank::Binary, &[BUILD, CONTROLLER, WEBHOOK]),
    row(ACCESS, Rank::Driver, &[API, BUILD, PKI, MODEL, TLS]),
    row(
        CONTROLLER,
        Rank::Driver,
        &[
            API, BUILD, MANIFEST, PKI, STATUS, TOPOLOGY, CONFIG, MODEL, PROTO, TLS,
        ],
    ),
    row(MANIFEST, Rank::Pure, &[API, TOPOLOGY, FILTER, MODEL]),
    row(PKI, Rank::Driver, &[MODEL]),
    row(STATUS, Rank::Pure, &[API, TOPOLOGY]),
    row(TOPOLOGY, Rank::Pure, &[FILTER, MODEL]),
    row(WEBHOOK, Rank::Driver, &[API, BUILD, PKI]),
    row(
        "sidecar",
        Rank::Binary,
        &[
            CONFIG,
            CORE,
            ENGINE,
            FILTER,
            MODEL,
            PROTO,
            REPLICATION,
            SERVER,
            STORE,
            STORE_POSTGRES,
            STORE_SQLITE,
        ],
    ),
    row(
        "sidecar/cli",
        Rank::Binary,
        &[
            ACCESS,
            API,
            BUILD,
            MANIFEST,
            STATUS,
            TOPOLOGY,
            CONFIG,
            CORE,
            ENGINE,
            FILTER,
            MODEL,
            PROTO,
            REPLICATION,
            SERVER,
            STORE,
            STORE_POSTGRES,
            STORE_SQLITE,
        ],
    ),
    row(CONFIG, Rank::Pure, &[FILTER, MODEL]),
    row(CORE, Rank::Pure, &[FILTER, MODEL, STORE]),
    row(ENGINE, Rank::Driver, &[CORE, FILTER, MODEL, STORE]),
    row(FILTER, Rank::Pure, &[MODEL]),
    row(MODEL, Rank::Pure, &[]),
    row(PROTO, Rank::Driver, &[MODEL]),
    row(
        REPLICATION,
        Rank::Driver,
        &[CONFIG, CORE, ENGINE, FILTER, MODEL, PROTO, STORE],
    ),
    row(
        SERVER,
        Rank::Driver,
        &[
            CONFIG,
            CORE,
            ENGINE,
            FILTER,
            MODEL,
            PROTO,
            REPLICATION,
            STORE,
            STORE_POSTGRES,
            STORE_SQLITE,
            TLS,
        ],
    ),
    row(STORE, Rank::Pure, &[MODEL]),
    row(STORE_POSTGRES, Rank::Driver, &[MODEL, STORE]),
    row(STORE_SQLITE, Rank::Driver, &[MODEL, STORE]),
    row(TLS, Rank::Driver, &[MODEL]),
    row(
        "tests/bench",
        Rank::Test,
        &[
            CONFIG,
            CORE,
            ENGINE,
            FILTER,
            MODEL,
            PROTO,
            REPLICATION,
            SERVER,
            STORE,
            STORE_POSTGRES,
            STORE_SQLITE,
            HARNESS,
        ],
    ),
    row(
        "tests/cluster",
        Rank::Test,
        &[
            API,
            BUILD,
            CONTROLLER,
            WEBHOOK,
            MANIFEST,
            PKI,
            CONFIG,
            HARNESS,
            PROTO,
            SERVER,
            STORE,
            "tests/docs",
        ],
    ),
    row(
        "tests/docs",
        Rank::Test,
        &[
            API, CONTROLLER, STATUS, CONFIG, CORE, FILTER, HARNESS, MODEL, PROTO, SERVER,
        ],
    ),
    row(
        "tests/faults",
        Rank::Test,
        &[
            API,
            MANIFEST,
            TOPOLOGY,
            CONFIG,
            CORE,
            ENGINE,
            FILTER,
            MODEL,
            PROTO,
            REPLICATION,
            SERVER,
            STORE,
            STORE_POSTGRES,
            STORE_SQLITE,
            HARNESS,
        ],
    ),
    row(
        "tests/fuzz",
        Rank::Test,
        &[
            API,
            MANIFEST,
            TOPOLOGY,
            CONFIG,
            CORE,
            ENGINE,
            FILTER,
            MODEL,
            PROTO,
            REPLICATION,
            SERVER,
            STORE,
            STORE_POSTGRES,
            STORE_SQLITE,
            HARNESS,
        ],
    ),
    row(
        HARNESS,
        Rank::Test,
        &[
            API,
            MANIFEST,
            TOPOLOGY,
            CONFIG,
            CORE,
            ENGINE,
            FILTER,
            MODEL,
            PROTO,
            REPLICATION,
            SERVER,
            STORE,
            STORE_POSTGRES,
            STORE_SQLITE,
        ],
    ),
    row("tests/house", Rank::Test, &[]),
    row("tests/mutants", Rank::Test, &[MODEL]),
    row(
        "tests/network",
        Rank::Test,
        &[
            API,
            MANIFEST,
            TOPOLOGY,
            CONFIG,
            CORE,
            ENGINE,
            FILTER,
            MODEL,
            PROTO,
            REPLICATION,
            SERVER,
            STORE,
            STORE_POSTGRES,
            STORE_SQLITE,
            HARNESS,
        ],
    ),
    row(
        "tests/sim",
        Rank::Test,
        &[TOPOLOGY, CORE, FILTER, MODEL, STORE],
    ),
    row(
        "tests/sim-network",
        Rank::Test,
        &[
            API,
            MANIFEST,
            TOPOLOGY,
            CONFIG,
            CORE,
            ENGINE,
            FILTER,
            MODEL,
            PROTO,
            REPLICATION,
            SERVER,
            STORE,
            STORE_SQLITE,
            HARNESS,
        ],
    ),
];

/// Compares the rooms with the table: rooms and rows match one to one, and every import is allowed.
pub fn check(workspace: &Workspace, table: &[Row]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for room in &workspace.rooms {
        let file = manifest(room);
        match table.iter().find(|row| row.room == room.folder) {
            Some(row) => check_room(room, row, table, &mut findings),
            None => findings.push(Finding::error(
                &file,
                None,
                "the room has no row in tests/house/src/arrows.rs: add one, then `make map`",
            )),
        }
    }
    for row in table {
        if !workspace.rooms.iter().any(|room| room.folder == row.room) {
            let message = format!(
                "a row for `{}`, which is no member of the workspace",
                row.room
            );
            findings.push(Finding::error("tests/house/src/arrows.rs", None, message));
        }
    }
    findings
}

fn check_room(room: &Room, row: &Row, table: &[Row], findings: &mut Vec<Finding>) {
    let file = manifest(room);
    for import in &room.imports {
        if !row.may_import.contains(&import.as_str()) {
            let allowed = row.may_import.join(", ");
            let message = format!(
                "`{}` must not import `{import}`; allowed: {allowed}",
                room.folder
            );
            findings.push(Finding::error(&file, None, message));
        }
    }
    for import in &room.test_imports {
        let rank = table
            .iter()
            .find(|row| row.room == import)
            .map(|row| row.rank);
        if rank == Some(Rank::Binary) {
            let message = format!(
                "the tests of `{}` import the binary `{import}`",
                room.folder
            );
            findings.push(Finding::error(&file, None, message));
        }
    }
    if room.has_binary && !matches!(row.rank, Rank::Binary | Rank::Test) {
        let message = "it builds a program: programs live in rooms of rank Binary";
        findings.push(Finding::error(&file, None, message));
    }
}

fn manifest(room: &Room) -> String {
    format!("{}/Cargo.toml", room.folder)
}

/// What a table must not allow, however it is changed: the arrows that would undo the architecture.
pub fn check_table(table: &[Row]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut refuse = |message: String| {
        findings.push(Finding::error("tests/house/src/arrows.rs", None, message));
    };
    for row in table {
        let reached = closure(row.room, table);
        for import in &reached {
            let rank = table
                .iter()
                .find(|row| row.room == *import)
                .map(|row| row.rank);
            let (from, to) = (row.room, *import);
            if rank.is_none() {
                refuse(format!("`{from}` may import `{to}`, which has no row"));
            }
            if from == to {
                refuse(format!("`{from}` may import itself"));
            }
            if rank == Some(Rank::Binary) {
                refuse(format!(
                    "`{from}` may import `{to}`: nothing depends on a binary"
                ));
            }
            if rank == Some(Rank::Test) && row.rank != Rank::Test {
                refuse(format!(
                    "`{from}` may import `{to}`: tests are imported by tests only"
                ));
            }
            if row.rank == Rank::Pure && rank != Some(Rank::Pure) {
                refuse(format!(
                    "pure `{from}` may import `{to}`, which is not pure"
                ));
            }
            if from == ENGINE && [STORE_POSTGRES, STORE_SQLITE].contains(&to) {
                refuse(format!(
                    "`{from}` may import `{to}`: it knows the contract only"
                ));
            }
            if from.starts_with("operator/")
                && to.starts_with("sidecar")
                && ![FILTER, MODEL].contains(&to)
                // What renders a configuration fills the struct that the sidecar parses: the two cannot drift apart.
                && !(from == BUILD && to == CONFIG)
                // It asks its sidecars, and tells them what is in force, as any administrator does.
                && !(from == CONTROLLER && [CONFIG, PROTO, TLS].contains(&to))
                // By way of what renders the sidecar of an application.
                && !(from == WEBHOOK && to == CONFIG)
                // As a person does, with that person's rights.
                && !(from == ACCESS && [CONFIG, TLS].contains(&to))
            {
                refuse(format!(
                    "`{from}` may import `{to}`: of the sidecar only filter and model"
                ));
            }
            if from.starts_with("sidecar") && from != "sidecar/cli" && to.starts_with("operator/") {
                refuse(format!(
                    "`{from}` may import `{to}`: the data plane knows no operator"
                ));
            }
        }
    }
    findings
}

/// Everything that `room` may reach, over any number of arrows.
fn closure<'a>(room: &str, table: &'a [Row]) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = vec![room];
    while let Some(next) = open.pop() {
        for import in table
            .iter()
            .filter(|row| row.room == next)
            .flat_map(|row| row.may_import)
        {
            if reached.insert(*import) {
                open.push(import);
            }
        }
    }
    reached
}

/// The map of rooms as Markdown, for `docs/ARCHITECTURE.md`.
pub fn render(workspace: &Workspace, table: &[Row]) -> String {
    let mut lines = vec![
        "| room | rank | what it is | may import |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    for row in table {
        let description = workspace
            .rooms
            .iter()
            .find(|room| room.folder == row.room)
            .map_or("", |room| &room.description);
        let imports = if row.may_import.is_empty() {
            "nothing".to_owned()
        } else {
            row.may_import
                .iter()
                .map(|room| short(room))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let rank = match row.rank {
            Rank::Pure => "pure",
            Rank::Driver => "driver",
            Rank::Binary => "binary",
            Rank::Test => "test",
        };
        lines.push(format!(
            "| `{}` | {rank} | {description} | {imports} |",
            row.room
        ));
    }
    lines.join("\n") + "\n"
}

fn short(room: &str) -> &str {
    room.rsplit('/').next().unwrap_or(room)
}

/// The line before the map.
pub const MAP_BEGIN: &str = "<!-- map: written by `make map` -->";
/// The line after the map.
pub const MAP_END: &str = "<!-- end of map -->";

/// Puts `map` between the two marks of `page`; `None` when the page does not have both.
pub fn insert_map(page: &str, map: &str) -> Option<String> {
    let (before, rest) = page.split_once(MAP_BEGIN)?;
    let (_, after) = rest.split_once(MAP_END)?;
    Some(format!("{before}{MAP_BEGIN}\n{map}{MAP_END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(folder: &str, imports: &[&str]) -> Room {
        Room {
            folder: folder.to_owned(),
            imports: imports.iter().map(ToString::to_string).collect(),
            ..Room::default()
        }
    }

    fn messages(rooms: Vec<Room>, table: &[Row]) -> String {
        let findings = check(&Workspace { rooms }, table);
        findings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(
                "
",
            )
    }

    const SMALL: &[Row] = &[
        row("a", Rank::Pure, &[]),
        row("b", Rank::Driver, &["a"]),
        row("c", Rank::Binary, &["a", "b"]),
    ];

    #[test]
    fn accepts_rooms_that_follow_the_table() {
        let mut c = room("c", &["a", "b"]);
        c.has_binary = true;
        assert_eq!(
            messages(vec![room("a", &[]), room("b", &["a"]), c], SMALL),
            ""
        );
    }

    #[test]
    fn refuses_an_arrow_that_is_not_drawn() {
        let found = messages(
            vec![room("a", &["b"]), room("b", &[]), room("c", &[])],
            SMALL,
        );
        assert!(found.contains("`a` must not import `b`"), "{found}");
    }

    #[test]
    fn refuses_a_room_without_a_row_and_a_row_without_a_room() {
        let found = messages(vec![room("a", &[]), room("b", &[]), room("d", &[])], SMALL);
        assert!(
            found.contains("d/Cargo.toml: the room has no row"),
            "{found}"
        );
        assert!(found.contains("a row for `c`"), "{found}");
    }

    #[test]
    fn refuses_a_program_in_a_library_room_and_tests_that_import_a_binary() {
        let mut b = room("b", &[]);
        b.has_binary = true;
        b.test_imports.insert("c".to_owned());
        let found = messages(vec![room("a", &[]), b, room("c", &[])], SMALL);
        assert!(found.contains("it builds a program"), "{found}");
        assert!(
            found.contains("the tests of `b` import the binary `c`"),
            "{found}"
        );
    }

    #[test]
    fn refuses_a_table_that_undoes_the_architecture() {
        for (bad, why) in [
            (
                vec![row(ENGINE, Rank::Driver, &[STORE_SQLITE])],
                "the contract only",
            ),
            (
                vec![row(TOPOLOGY, Rank::Pure, &[CONFIG])],
                "only filter and model",
            ),
            (vec![row(SERVER, Rank::Driver, &[API])], "knows no operator"),
            (
                vec![
                    row(SERVER, Rank::Driver, &["sidecar"]),
                    row("sidecar", Rank::Binary, &[]),
                ],
                "nothing depends on a binary",
            ),
            (
                vec![
                    row(CORE, Rank::Pure, &[PROTO]),
                    row(PROTO, Rank::Driver, &[]),
                ],
                "not pure",
            ),
            (
                vec![
                    row(ENGINE, Rank::Driver, &[HARNESS]),
                    row(HARNESS, Rank::Test, &[]),
                ],
                "by tests only",
            ),
            (
                vec![row("a", Rank::Pure, &["b"]), row("b", Rank::Pure, &["a"])],
                "may import itself",
            ),
            (vec![row("a", Rank::Pure, &["nowhere"])], "has no row"),
        ] {
            let found = format!("{:?}", check_table(&bad));
            assert!(found.contains(why), "expected `{why}` in {found}");
        }
    }

    #[test]
    fn refuses_a_forbidden_arrow_over_a_detour() {
        let table = [
            row(ENGINE, Rank::Driver, &["sidecar/detour"]),
            row("sidecar/detour", Rank::Driver, &[STORE_POSTGRES]),
            row(STORE_POSTGRES, Rank::Driver, &[]),
        ];
        assert_eq!(check_table(&table).len(), 1);
    }

    #[test]
    fn puts_the_map_between_its_marks() {
        let page = format!("before\n{MAP_BEGIN}\nold\n{MAP_END}\nafter\n");
        let expected = format!("before\n{MAP_BEGIN}\nnew\n{MAP_END}\nafter\n");
        assert_eq!(insert_map(&page, "new\n"), Some(expected));
        assert_eq!(insert_map("no marks", "new\n"), None);
    }
}
