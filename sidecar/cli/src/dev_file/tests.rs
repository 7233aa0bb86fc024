use std::fs;
use std::net::TcpListener;
use std::thread;

use expect_test::expect;
use tidelog_model::LocationName;

use super::*;

fn name(text: &str) -> LocationName {
    LocationName::new(text).unwrap()
}

fn data_dir() -> (tempfile::TempDir, DataDir) {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = DataDir::new(dir.path().join("data"));
    (dir, data_dir)
}

/// Starts a location as `dev` does.
fn start(data_dir: &DataDir, log: &str, location: &str, base: Option<u16>) -> u16 {
    DevFile::edit(data_dir, |file| {
        let block = file.block(log, &name(location), base).unwrap();
        let socket = Some(format!("logs/{log}/{location}.sock"));
        file.put(log, &name(location), block.entry(4711, socket));
        Ok::<_, DevFileError>(block.first)
    })
    .unwrap()
}

#[test]
fn a_directory_without_a_file_has_no_network() {
    let (_guard, data_dir) = data_dir();
    assert_eq!(DevFile::load(&data_dir).unwrap(), None);
}

#[test]
fn the_file_has_the_documented_form() {
    let (_guard, data_dir) = data_dir();
    start(&data_dir, "orders", "eu", None);
    expect![[r#"
        {
          "version": 1,
          "logs": {
            "orders": {
              "eu": {
                "index": 0,
                "ports": 7440,
                "pid": 4711,
                "api": "127.0.0.1:7440",
                "admin": "127.0.0.1:7444",
                "replication": "127.0.0.1:7443",
                "metrics": "127.0.0.1:7441",
                "health": "127.0.0.1:7442",
                "socket": "logs/orders/eu.sock"
              }
            }
          }
        }
    "#]]
    .assert_eq(&fs::read_to_string(data_dir.dev_file()).unwrap());
}

#[test]
fn ports_count_over_all_logs_and_are_kept() {
    let (_guard, data_dir) = data_dir();
    assert_eq!(start(&data_dir, "m", "a", Some(9000)), 9000);
    assert_eq!(start(&data_dir, "m", "b", None), 9010);
    assert_eq!(start(&data_dir, "n", "a", None), 9020);
    // The order of a later start does not matter, nor what was added in between.
    assert_eq!(start(&data_dir, "n", "a", None), 9020);
    assert_eq!(start(&data_dir, "a", "new", None), 9030);
    assert_eq!(start(&data_dir, "m", "a", None), 9000);
}

#[test]
fn another_base_port_moves_a_location_and_keeps_its_number() {
    let (_guard, data_dir) = data_dir();
    start(&data_dir, "m", "a", None);
    start(&data_dir, "m", "b", None);
    assert_eq!(start(&data_dir, "m", "b", Some(8000)), 8010);
    assert_eq!(start(&data_dir, "m", "b", None), 8010);
    // `a` stays; what would fall on the ports of another location moves on.
    assert_eq!(start(&data_dir, "m", "c", Some(7990)), 8020);
    assert_eq!(start(&data_dir, "m", "d", Some(7410)), 7450);
    assert_eq!(start(&data_dir, "m", "a", None), 7440);
}

#[test]
fn ports_that_do_not_exist_are_refused() {
    let (_guard, data_dir) = data_dir();
    assert_eq!(start(&data_dir, "m", "a", Some(65520)), 65520);
    let error = DevFile::load(&data_dir)
        .unwrap()
        .unwrap()
        .block("m", &name("b"), None)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "location number 2 has no ports: from 65520 on, ten each, they end above 65535"
    );
    assert_eq!(base_port("9000"), Ok(9000));
    for wrong in ["9001", "0", "1000", "65536", "-10", "x"] {
        assert!(base_port(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_busy_port_is_named_with_what_it_is_for() {
    // A block of ten whose fourth port is taken, wherever the system has room.
    let (listener, first) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if port % 10 == 3 {
            break (listener, port - 3);
        }
    };
    let block = Block { index: 0, first };
    let error = block
        .check_free(&[Service::Replication], "orders", &name("eu"))
        .unwrap_err();
    assert!(
        error.to_string().starts_with(&format!(
            "port {} (replication of orders/eu) cannot be used",
            first + 3
        )),
        "{error}"
    );
    assert!(error.way_out().contains("--base-port"));
    drop(listener);
    block
        .check_free(&[Service::Replication], "orders", &name("eu"))
        .unwrap();
}

#[test]
fn a_clean_stop_forgets_the_process_and_keeps_the_ports() {
    let (_guard, data_dir) = data_dir();
    start(&data_dir, "m", "a", Some(9000));
    let stop = |pid| {
        DevFile::edit(&data_dir, |file| {
            file.stopped("m", &name("a"), pid);
            Ok::<_, DevFileError>(())
        })
        .unwrap();
        DevFile::load(&data_dir)
            .unwrap()
            .unwrap()
            .get("m", &name("a"))
            .unwrap()
            .clone()
    };
    assert_eq!(stop(1).pid, Some(4711), "another process runs it by now");
    let stopped = stop(4711);
    assert_eq!((stopped.pid, stopped.ports), (None, 9000));
}

#[test]
fn processes_that_start_together_do_not_lose_each_other() {
    let (_guard, data_dir) = data_dir();
    thread::scope(|scope| {
        for at in 0..8 {
            let data_dir = &data_dir;
            scope.spawn(move || {
                for round in 0..5 {
                    start(data_dir, "m", &format!("l{at}-{round}"), None);
                }
            });
        }
    });
    let file = DevFile::load(&data_dir).unwrap().unwrap();
    let mut ports: Vec<u16> = file.iter().map(|(_, _, entry)| entry.ports).collect();
    ports.sort_unstable();
    assert_eq!(
        ports,
        (0..40).map(|at| 7440 + 10 * at).collect::<Vec<u16>>()
    );
}

#[test]
fn a_damaged_file_is_named_with_the_way_out_and_not_touched() {
    for (text, why) in [
        ("", "EOF while parsing"),
        ("{\"version\": 1, \"logs\": {", "EOF while parsing"),
        (
            "{\"version\": 1, \"logs\": {\"m\": {\"Not A Name\": {}}}}",
            "line 1 column",
        ),
        ("[1, 2]", "it has no version"),
        ("\u{0}\u{0}\u{0}", "expected value"),
    ] {
        let (_guard, data_dir) = data_dir();
        fs::create_dir_all(data_dir.path()).unwrap();
        fs::write(data_dir.dev_file(), text).unwrap();
        let error = DevFile::load(&data_dir).unwrap_err();
        assert!(error.to_string().contains("dev.json is damaged"), "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert!(error.way_out().contains("nothing was deleted"));
        let edited = DevFile::edit(&data_dir, |_| Ok::<_, DevFileError>(()));
        assert!(edited.is_err());
        assert_eq!(fs::read_to_string(data_dir.dev_file()).unwrap(), text);
    }
}

#[test]
fn a_later_version_is_refused() {
    let (_guard, data_dir) = data_dir();
    fs::create_dir_all(data_dir.path()).unwrap();
    fs::write(data_dir.dev_file(), "{\"version\": 2, \"networks\": []}").unwrap();
    let error = DevFile::load(&data_dir).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("has version 2, this program knows 1"),
        "{error}"
    );
}

/// What `dev` does with a file that it takes; ports have to come out or an error.
fn use_it(file: &DevFile) {
    for location in ["eu", "us", "new"] {
        for base in [None, Some(1030), Some(65520)] {
            if let Ok(block) = file.block("orders", &name(location), base) {
                for service in Service::ALL {
                    assert!(block.address(service).port() >= block.first);
                }
            }
        }
    }
}

/// What may stand where something else stood.
const OTHERS: [&str; 16] = [
    "null",
    "true",
    "0",
    "-1",
    "1",
    "65526",
    "65527",
    "65535",
    "65536",
    "4294967295",
    "18446744073709551616",
    "1e400",
    "\"\"",
    "\"../../etc\"",
    "[]",
    "{}",
];

#[test]
fn a_file_that_is_corrupt_in_any_way_is_used_or_refused_and_never_guessed_at() {
    let (_guard, data_dir) = data_dir();
    start(&data_dir, "orders", "eu", None);
    start(&data_dir, "orders", "us", None);
    let path = data_dir.dev_file();
    let intact = fs::read_to_string(&path).unwrap();
    let mut forms: Vec<Vec<u8>> = Vec::new();
    for at in 0..intact.len() {
        forms.push(intact.as_bytes()[..at].to_vec());
        for bit in 0..8 {
            let mut bytes = intact.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            forms.push(bytes);
        }
    }
    // Every value is another one.
    for (at, _) in intact.match_indices(": ") {
        let value = &intact[at + 2..];
        let end = value.find([',', '\n']).unwrap_or(value.len());
        for other in OTHERS {
            let text = format!("{}{other}{}", &intact[..at + 2], &value[end..]);
            forms.push(text.into_bytes());
        }
    }
    forms.push(vec![b'['; 100_000]);
    forms.push("{\"version\": 1, \"logs\":".repeat(10_000).into_bytes());
    let (mut used, mut refused) = (0, 0);
    for form in forms {
        match DevFile::parse(path.clone(), &form) {
            Ok(file) => {
                used += 1;
                use_it(&file);
            }
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("dev.json"), "{error}");
                assert!(!error.way_out().is_empty());
            }
        }
    }
    assert!(
        used > 100 && refused > 1000,
        "{used} used, {refused} refused"
    );
}
