-- Version 3. What the user says of a chat, where one left it, and a bin in place of deletions that ended with the app.

ALTER TABLE conversations ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
-- Words with a blank before and after each.
ALTER TABLE conversations ADD COLUMN tags TEXT NOT NULL DEFAULT ' ';
-- When it was put into the bin, milliseconds since 1970.
ALTER TABLE conversations ADD COLUMN binned_ms INTEGER;
-- Orders chats by when they were looked at last; a counter, since clocks jump.
ALTER TABLE conversations ADD COLUMN looked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN place BLOB;

UPDATE conversations SET binned_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER) WHERE deleted_by IS NOT NULL;
ALTER TABLE conversations DROP COLUMN deleted_by;
