-- No digest of an event covers the vectors, and they decide what is taken for held: a flipped bit would lose events, or store them twice. The server
-- itself computes these sums with every update, and again when the state is read.
ALTER TABLE head ADD COLUMN sum bytea NOT NULL
    GENERATED ALWAYS AS (sha256(int8send(head) || hash || int4send(length(version_vector)) || version_vector || covered_vector)) STORED;
-- What the integers in the vectors mean.
ALTER TABLE origins ADD COLUMN sum bytea NOT NULL
    GENERATED ALWAYS AS (sha256(int4send(id) || int8send(incarnation) || decode(location, 'escape'))) STORED;
