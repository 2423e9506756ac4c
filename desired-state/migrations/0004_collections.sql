-- The last garbage collection of each store of Nix, so that a restart does not begin another. The controller's own is ''.
CREATE TABLE collections (
    store    TEXT   PRIMARY KEY NOT NULL CHECK (length(store) <= 63),
    began_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    result   TEXT   NOT NULL CHECK (result IN ('done', 'failed')),
    freed    BIGINT NOT NULL CHECK (freed >= 0),
    detail   TEXT   NOT NULL CHECK (length(detail) <= 8192)
);
