-- One local log of one location. Every name lives in the schema that the connection puts first on its search path.
--
-- Rows of `events` are never updated; they are deleted only by a late raise. What is absent is NULL, which costs one bit.

-- To whom the database belongs: checked at every start, so that two locations never share one by mistake.
CREATE TABLE owner (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    log      text NOT NULL,
    location text NOT NULL
);

-- What every commit changes, checks and waits for. Alone in its table and its page nearly empty, so that an update is HOT: no index
-- entry, and the old version is pruned in passing.
CREATE TABLE head (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one),
    incarnation    bigint NOT NULL,
    nonce          bigint,              -- of the last lease granted; NULL fences everybody
    head           bigint NOT NULL,
    hash           bytea  NOT NULL,
    version_vector bytea  NOT NULL,     -- vectors: (origin, sequence)* as variable-length integers
    covered_vector bytea  NOT NULL,
    clock_micros   bigint NOT NULL,
    clock_logical  bigint NOT NULL,
    stored_at      bigint NOT NULL
) WITH (fillfactor = 10);
ALTER TABLE head ALTER version_vector SET STORAGE MAIN, ALTER covered_vector SET STORAGE MAIN;
INSERT INTO head (incarnation, head, hash, version_vector, covered_vector, clock_micros, clock_logical, stored_at)
VALUES (0, 0, decode(repeat('00', 32), 'hex'), '', '', 0, 0, 0);

-- Apart from `head`, so that renewing never waits for a commit. The nonce that fences is the one in `head`.
CREATE TABLE lease (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    owner      text        NOT NULL,
    address    text        NOT NULL,
    nonce      bigint      NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 10);

-- Local integers for (location, incarnation): they stand in keys, contexts and vectors. Never reused.
CREATE TABLE origins (
    id          integer PRIMARY KEY,
    location    text COLLATE "C" NOT NULL,
    incarnation bigint NOT NULL,
    CONSTRAINT origins_name UNIQUE (location, incarnation)
);

-- Fixed-width columns first, widest first: no padding.
CREATE TABLE events (
    seq                 bigint  NOT NULL,
    stored_at           bigint  NOT NULL,
    origin_sequence     bigint  NOT NULL,
    time_micros         bigint  NOT NULL,
    time_logical        bigint,
    schema_version      bigint,
    plan_id             bigint,
    cause_sequence      bigint,
    cause_output        bigint,
    request_index       bigint,
    request_count       bigint,
    origin              integer NOT NULL,
    cause_origin        integer,
    appended_here       boolean NOT NULL,
    digest              bytea   NOT NULL,
    context             bytea   NOT NULL,
    event_type          text COLLATE "C" NOT NULL,
    aggregate_id        text COLLATE "C",
    content_type        text COLLATE "C",
    application_version text COLLATE "C",
    emitter_id          text COLLATE "C",
    delivery_id         text COLLATE "C",
    request_id          text COLLATE "C",
    cause_log           text COLLATE "C",
    destinations        bytea,          -- texts with their lengths, in the writer's order; looked up through the table below
    metadata            bytea,          -- texts with their lengths, key and value in turn
    chain               bytea,          -- hash chain here, on the last event of each batch
    payload             bytea   NOT NULL,
    CONSTRAINT events_sequence PRIMARY KEY (seq),
    CONSTRAINT events_identity UNIQUE (origin, origin_sequence)
) WITH (toast_tuple_target = 8160);
-- Payloads are often compressed already, and a page is cheaper than a detour.
ALTER TABLE events ALTER payload SET STORAGE EXTERNAL;
CREATE INDEX events_aggregate ON events (aggregate_id, seq) WHERE aggregate_id IS NOT NULL;
CREATE INDEX events_cause ON events (cause_sequence, cause_origin, seq) WHERE cause_sequence IS NOT NULL;

-- Further routing keys, only of events that have some.
CREATE TABLE destinations (
    key text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    CONSTRAINT destinations_key PRIMARY KEY (key, seq)
);

-- Remembered request ids; for each index the event with the lowest sequence. Not a constraint on events: a replicated event must never
-- meet one.
CREATE TABLE requests (
    seq           bigint NOT NULL,
    request_index bigint NOT NULL,
    request_id    text COLLATE "C" NOT NULL,
    CONSTRAINT requests_key PRIMARY KEY (request_id, request_index)
);
CREATE INDEX requests_sequence ON requests (seq);

CREATE TABLE progress (
    source   text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL,
    hash     bytea  NOT NULL,
    lineage  bytea  NOT NULL            -- (incarnation, base)* as variable-length integers
) WITH (fillfactor = 30);

CREATE TABLE lineage (
    incarnation bigint PRIMARY KEY,
    base        bigint NOT NULL
);

CREATE TABLE voided (
    origin   integer NOT NULL,
    sequence bigint  NOT NULL,
    digest   bytea   NOT NULL,
    CONSTRAINT voided_key PRIMARY KEY (origin, sequence, digest)
);

CREATE TABLE paused (
    source text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    CONSTRAINT paused_key PRIMARY KEY (source, target)
);

CREATE TABLE consumers (
    name        text COLLATE "C" PRIMARY KEY,
    incarnation bigint NOT NULL,
    sequence    bigint NOT NULL,
    updated_at  bigint NOT NULL
) WITH (fillfactor = 50);
