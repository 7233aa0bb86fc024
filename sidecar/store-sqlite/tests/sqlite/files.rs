//! Folder, lock, owner, schema, backup.
