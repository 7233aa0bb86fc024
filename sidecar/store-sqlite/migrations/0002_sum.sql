-- Over head, hash and both vectors, with the names of their origins. No digest of an event covers them, and they decide what is taken for held.
-- NULL until the next batch.
ALTER TABLE head ADD COLUMN sum BLOB;
