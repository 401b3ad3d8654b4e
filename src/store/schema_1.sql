-- Version 1. Ids that the app gives are random; `seq` is the order of creation, which no clock can change.

CREATE TABLE instances (
    id         INTEGER PRIMARY KEY,
    pid        INTEGER NOT NULL,
    started_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE conversations (
    id         INTEGER PRIMARY KEY,
    title      TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    settings   BLOB    NOT NULL,
    leaf       INTEGER,
    touched    INTEGER NOT NULL,
    deleted_by INTEGER
) STRICT;
CREATE INDEX conversations_touched ON conversations (touched);

CREATE TABLE turns (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           INTEGER NOT NULL UNIQUE,
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    parent       INTEGER REFERENCES turns (id),
    role         INTEGER NOT NULL CHECK (role BETWEEN 0 AND 2),
    state        INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
    deleted      INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    note         TEXT,
    model        TEXT,
    created_ms   INTEGER NOT NULL,
    writer       INTEGER
) STRICT;
CREATE INDEX turns_conversation ON turns (conversation, seq);
CREATE INDEX turns_parent ON turns (parent) WHERE parent IS NOT NULL;
CREATE INDEX turns_streaming ON turns (writer) WHERE state = 1;

-- kind: 0 written, 1 generated, 2 kept. A run may be put after the steps it made, hence no foreign key.
CREATE TABLE spans (
    id         INTEGER PRIMARY KEY,
    turn       INTEGER NOT NULL REFERENCES turns (seq) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    kind       INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2),
    text       TEXT,
    run        INTEGER,
    kept_turn  INTEGER,
    kept_steps INTEGER,
    UNIQUE (turn, number)
) STRICT;

-- Packed steps (see pack.rs), in stretches as they were written.
CREATE TABLE steps (
    span  INTEGER NOT NULL REFERENCES spans (id) ON DELETE CASCADE,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    data  BLOB    NOT NULL,
    PRIMARY KEY (span, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id           INTEGER PRIMARY KEY,
    prefix_run   INTEGER,
    prefix_count INTEGER,
    prompt_ids   BLOB NOT NULL,
    data         BLOB NOT NULL
) STRICT;

CREATE TABLE vocabularies (
    hash  TEXT PRIMARY KEY,
    blob  BLOB NOT NULL,
    sizes BLOB NOT NULL,
    kinds BLOB NOT NULL
) STRICT;

-- conversation 0: the composer of the chat that has no conversation yet.
CREATE TABLE drafts (
    conversation INTEGER PRIMARY KEY,
    text         TEXT NOT NULL
) STRICT;

CREATE TABLE history (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    text TEXT NOT NULL
) STRICT;

-- What can be searched: the whole text of every turn that is not being written.
CREATE TABLE texts (
    turn INTEGER PRIMARY KEY REFERENCES turns (seq) ON DELETE CASCADE,
    text TEXT NOT NULL
) STRICT;

CREATE VIRTUAL TABLE search USING fts5 (text, content = 'texts', content_rowid = 'turn', tokenize = 'trigram');

CREATE TRIGGER texts_inserted AFTER INSERT ON texts BEGIN
    INSERT INTO search (rowid, text) VALUES (new.turn, new.text);
END;
CREATE TRIGGER texts_deleted AFTER DELETE ON texts BEGIN
    INSERT INTO search (search, rowid, text) VALUES ('delete', old.turn, old.text);
END;
CREATE TRIGGER texts_updated AFTER UPDATE ON texts BEGIN
    INSERT INTO search (search, rowid, text) VALUES ('delete', old.turn, old.text);
    INSERT INTO search (rowid, text) VALUES (new.turn, new.text);
END;
