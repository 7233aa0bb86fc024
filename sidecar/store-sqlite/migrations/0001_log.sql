-- One local log of one location. Numbers above 2^63 - 1 (nonces, plan ids) are kept as the signed number with the same bits.

-- To whom the database belongs: checked at every start, so that a folder copied to the wrong place is noticed.
CREATE TABLE owner (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    log      TEXT NOT NULL,
    location TEXT NOT NULL,
    instance TEXT NOT NULL               -- random, made with the database
) STRICT;

-- What every commit changes and checks. An update says in `guard_held` whether its guard holds; if not, the constraint fails the statement
-- and with it the transaction.
CREATE TABLE head (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    incarnation    INTEGER NOT NULL,
    nonce          INTEGER,              -- of the last lease granted; NULL fences everybody
    head           INTEGER NOT NULL,
    hash           BLOB    NOT NULL,
    version_vector BLOB    NOT NULL,
    covered_vector BLOB    NOT NULL,
    clock_micros   INTEGER NOT NULL,
    clock_logical  INTEGER NOT NULL,
    stored_at      INTEGER NOT NULL,
    guard_held     INTEGER NOT NULL CONSTRAINT fenced CHECK (guard_held = 1),
    settled        INTEGER NOT NULL      -- counted up to overwrite what a failed commit may have left in the log file
) STRICT;
INSERT INTO head VALUES (1, 0, NULL, 0, zeroblob(32), x'', x'', 0, 0, 0, 1, 0);

CREATE TABLE lease (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    owner      TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    nonce      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL          -- milliseconds since the Unix epoch
) STRICT;

-- Local integers for (location, incarnation): they stand in keys, contexts and vectors. Never reused.
CREATE TABLE origin (
    id          INTEGER PRIMARY KEY,
    location    TEXT    NOT NULL,
    incarnation INTEGER NOT NULL,
    UNIQUE (location, incarnation)
) STRICT;

-- Rows are never updated; they are deleted only by a late raise. What nobody searches for lies in `envelope`. The payload comes last: it
-- may run over into further pages, which are read only when it is asked for.
CREATE TABLE event (
    seq             INTEGER PRIMARY KEY,
    origin          INTEGER NOT NULL,
    origin_sequence INTEGER NOT NULL,
    stored_at       INTEGER NOT NULL,
    appended_here   INTEGER NOT NULL,
    event_type      TEXT    NOT NULL,
    aggregate_id    TEXT    NOT NULL,
    emitter_id      TEXT    NOT NULL,
    cause           BLOB,                -- log, event id and output index
    digest          BLOB    NOT NULL,
    chain           BLOB,                -- hash chain here, on the last event of each batch
    envelope        BLOB    NOT NULL,
    payload         BLOB    NOT NULL,
    UNIQUE (origin, origin_sequence)
) STRICT;
CREATE INDEX event_aggregate ON event (aggregate_id);
CREATE INDEX event_cause ON event (emitter_id, cause) WHERE cause IS NOT NULL;

-- Further routing keys, only of events that have some.
CREATE TABLE destination (
    key TEXT    NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (key, seq)
) STRICT, WITHOUT ROWID;

-- Remembered request ids; for each index the event with the lowest sequence. Not a constraint on events: a replicated event must never
-- meet one.
CREATE TABLE request (
    request_id    TEXT    NOT NULL,
    request_index INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    PRIMARY KEY (request_id, request_index)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_seq ON request (seq);

CREATE TABLE progress (
    source   TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    hash     BLOB    NOT NULL,
    lineage  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE lineage (
    incarnation INTEGER PRIMARY KEY,
    base        INTEGER NOT NULL
) STRICT;

CREATE TABLE voided (
    origin   INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    digest   BLOB    NOT NULL,
    PRIMARY KEY (origin, sequence, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE paused (
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (source, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE consumer (
    name        TEXT PRIMARY KEY,
    incarnation INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
