-- Version 2. What a model thought of typed text. `turn` has no foreign key: a system prompt has scores too.

CREATE TABLE scores (
    id           INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn         INTEGER NOT NULL,
    model        TEXT    NOT NULL,
    run          INTEGER NOT NULL,
    -- Packed places and steps (see pack.rs).
    places       BLOB    NOT NULL,
    data         BLOB    NOT NULL,
    UNIQUE (turn, model)
) STRICT;
CREATE INDEX scores_conversation ON scores (conversation);
