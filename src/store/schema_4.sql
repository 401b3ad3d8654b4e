-- Version 4. Text is searched folded (see fold.rs): without case and accents, composed and decomposed alike. Only the
-- indexes hold it so; `texts` keeps what was written.

DROP TRIGGER texts_inserted;
DROP TRIGGER texts_deleted;
DROP TRIGGER texts_updated;
DROP TABLE search;

CREATE VIRTUAL TABLE search USING fts5 (
    text, content = '', contentless_delete = 1, tokenize = 'trigram case_sensitive 1'
);

-- Words of one or two characters, which have no trigram: all the pairs of a text as words of code points.
CREATE VIRTUAL TABLE short USING fts5 (
    grams, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
);

CREATE TRIGGER texts_deleted AFTER DELETE ON texts BEGIN
    DELETE FROM search WHERE rowid = old.turn;
    DELETE FROM short WHERE rowid = old.turn;
END;
