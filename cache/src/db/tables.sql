-- Digests are 32 raw bytes, times nanoseconds since 1970, sizes bytes.

CREATE TABLE layers (
    id        TEXT PRIMARY KEY,    -- 32 hex digits, the folder below layers/
    form      TEXT NOT NULL,       -- directory, erofs, remote
    diff_id   BLOB,                -- sha256 of its tar, once known
    content   BLOB,                -- BLAKE3 of its content, once known
    allocated INTEGER NOT NULL,    -- blocks on disk
    bytes     INTEGER NOT NULL,    -- lengths of its regular files
    entries   INTEGER NOT NULL,    -- names below its folder
    boot      TEXT,                -- the boot it was written under; null once it is synced
    created   INTEGER NOT NULL,
    used      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX layers_by_diff_id ON layers (diff_id) WHERE diff_id IS NOT NULL;

-- The tar of a layer, per clamp of its times: `none` or seconds since 1970.
CREATE TABLE tars (
    layer   TEXT NOT NULL,
    clamp   TEXT NOT NULL,
    diff_id BLOB NOT NULL,
    size    INTEGER NOT NULL,
    PRIMARY KEY (layer, clamp)
) STRICT, WITHOUT ROWID;

-- What was taken for granted of the layers below when a layer was made, and not looked at since.
CREATE TABLE guesses (
    layer  TEXT PRIMARY KEY,
    below  TEXT NOT NULL,          -- JSON, the layers below it, bottom first
    absent TEXT NOT NULL           -- JSON, paths as arrays of bytes
) STRICT, WITHOUT ROWID;

-- A compressed tar, per algorithm and level; `as pulled` is what a registry has.
CREATE TABLE compressed (
    diff_id BLOB NOT NULL,
    how     TEXT NOT NULL,
    digest  BLOB NOT NULL,
    size    INTEGER NOT NULL,
    PRIMARY KEY (diff_id, how)
) STRICT, WITHOUT ROWID;

-- Where a piece of an archive lies compressed, within a blob.
CREATE TABLE pieces (
    how    TEXT NOT NULL,
    plain  BLOB NOT NULL,          -- BLAKE3 of the piece
    blob   BLOB NOT NULL,
    start  INTEGER NOT NULL,
    size   INTEGER NOT NULL,
    packed BLOB NOT NULL,          -- BLAKE3 of its compressed form
    PRIMARY KEY (how, plain)
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
    digest BLOB PRIMARY KEY,
    size   INTEGER NOT NULL,
    added  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where a blob came from, so that a push can have it mounted across.
CREATE TABLE blob_sources (
    digest     BLOB NOT NULL,
    registry   TEXT NOT NULL,
    repository TEXT NOT NULL,
    PRIMARY KEY (digest, registry, repository)
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
    key     BLOB PRIMARY KEY,
    op      BLOB NOT NULL,
    slot    TEXT NOT NULL,
    layers  TEXT NOT NULL,         -- JSON, bottom first
    inputs  TEXT NOT NULL,         -- JSON
    parts   TEXT NOT NULL,         -- JSON, the solver's business
    warnings TEXT NOT NULL,        -- JSON, lines for the user
    took    INTEGER NOT NULL,      -- microseconds
    memory  INTEGER,               -- the most bytes it used at once, if known
    created INTEGER NOT NULL,
    used    INTEGER NOT NULL
) STRICT;
CREATE INDEX records_by_op ON records (op, created);
CREATE INDEX records_by_slot ON records (slot, created);

CREATE TABLE resolutions (
    reference TEXT NOT NULL,
    platform  TEXT NOT NULL,
    manifest  BLOB NOT NULL,
    resolved  INTEGER NOT NULL,
    PRIMARY KEY (reference, platform)
) STRICT, WITHOUT ROWID;

-- A copy of index.json, to make it anew from.
CREATE TABLE images (
    name       TEXT PRIMARY KEY,
    descriptor TEXT NOT NULL
) STRICT;

-- The files that a slot saw, in the writer's own form.
CREATE TABLE file_lists (
    slot    TEXT PRIMARY KEY,
    bytes   BLOB NOT NULL,
    written INTEGER NOT NULL
) STRICT;
