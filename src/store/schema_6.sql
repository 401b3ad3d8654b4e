-- Version 6. Entries of vocabularies that are not known as a whole, as they were met: of models that a server runs.

CREATE TABLE words (
    vocabulary TEXT    NOT NULL,
    id         INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    kind       INTEGER NOT NULL,
    PRIMARY KEY (vocabulary, id)
) STRICT, WITHOUT ROWID;
