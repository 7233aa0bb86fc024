//! The configuration of a sidecar: YAML and environment.

use tidelog_config::{Config, ConfigError, VARIABLES};

/// Words of the form.
pub const WORDS: &[&str] = &[
    "log:",
    "location:",
    "storage:",
    "sqlite:",
    "postgres:",
    "memory:",
    "path:",
    "edges:",
    "outgoing:",
    "incoming:",
    "filters:",
    "cel:",
    "peers:",
    "endpoint:",
    "witness:",
    "file:",
    "listen:",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "<<: ",
    "1h",
    "64MiB",
    "18446744073709551616",
    "-1",
    "1e400",
    ".nan",
    "null",
    "~",
    "!!binary ",
    "\t",
    "\u{0}",
    "\u{feff}",
];

/// Nothing panics. What is read and written comes back; what is refused has a line, or the path of each field; secrets stay inside.
pub fn documents(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut config = match Config::from_yaml(&text, "sidecar.yaml") {
        Ok(config) => config,
        Err(error) => return refused(&error),
    };
    if let Err(error) = config.validate() {
        refused(&error);
    } else {
        let written = config.to_yaml().expect("a configuration that was read");
        let again = Config::from_yaml(&written, "again").expect("a file that was written here");
        assert_eq!(again, config, "by way of\n{written}");
        assert_eq!(again.validate(), Ok(()));
        for edge in &config.edges.outgoing {
            assert!(
                edge.filter_set().is_ok(),
                "a valid configuration has filters that compile"
            );
        }
    }
    let values: Vec<&str> = text.lines().collect();
    if let Err(error) = config.apply_env(VARIABLES.iter().map(|v| v.name).zip(values)) {
        refused(&error);
    }
    let _ = config.validate();
}

fn refused(error: &ConfigError) {
    assert!(!error.to_string().is_empty());
    if let ConfigError::Invalid(problems) = error {
        assert!(!problems.is_empty());
        assert!(
            problems
                .iter()
                .all(|p| !p.field.is_empty() && !p.message.is_empty())
        );
    }
}

/// Configurations of both kinds of storage.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "log: orders\nlocation: eu\nstorage: {sqlite: {path: data/eu}}\nwitness: {file: witness/eu}\n",
        "log: orders\nlocation: eu\nstorage: {postgres: {url: 'postgres://u:p@h:5432/d'}}\ninsecure: true\n\
         application: {name: shop, version: '1.3'}\n\
         edges:\n  outgoing:\n  - {target: us, dial: Source, endpoint: 'us.example.com:7443', filters: [{name: f, cel: 'true'}]}\n  \
         incoming:\n  - {source: us, dial: Source}\n",
        "log: orders\nlocation: eu\nstorage: {memory: {}}\nexportFilter: {name: f, cel: 'event.type != \"x\"', onError: Drop}\n\
         replication: {heartbeatInterval: 1s}\n",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
