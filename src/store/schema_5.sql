-- Version 5. Where files and long pastes lie in a typed message (MessagePack of chat/insert.rs); nothing where there are
-- none, as in all messages of earlier versions.

ALTER TABLE turns ADD COLUMN inserts BLOB;
