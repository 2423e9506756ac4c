-- What the store remembers. A migration that has been released is never changed; a new one is added beside it.
--
-- Times are microseconds since 1970-01-01 UTC. `length` counts characters, and the code bounds bytes before it writes;
-- the checks here are the second wall. `repository_key` is the repository's name in lower case, for Gitea does not
-- regard case. A branch that a delivery did not name is ''.

CREATE TABLE deliveries (
    id             TEXT   NOT NULL CHECK (length(id) BETWEEN 1 AND 64),
    event          TEXT   NOT NULL CHECK (length(event) <= 64),
    repository     TEXT   NOT NULL CHECK (length(repository) <= 255),
    repository_key TEXT   NOT NULL CHECK (length(repository_key) <= 255),
    branch         TEXT   NOT NULL CHECK (length(branch) <= 1024),
    received_at    BIGINT NOT NULL,
    fetched        BIGINT NOT NULL CHECK (fetched IN (0, 1)),
    -- An id is not signed. With the repository and the branch in the key, an old body that is replayed under another
    -- delivery's id cannot hide that delivery.
    PRIMARY KEY (id, repository_key, branch)
);
CREATE INDEX deliveries_to_fetch ON deliveries (fetched, repository_key, received_at);
CREATE INDEX deliveries_by_branch ON deliveries (repository_key, branch, received_at);
CREATE INDEX deliveries_by_age ON deliveries (received_at);

CREATE TABLE wishes (
    host         TEXT   PRIMARY KEY NOT NULL CHECK (length(host) <= 63),
    repository   TEXT   NOT NULL CHECK (length(repository) <= 255),
    branch       TEXT   NOT NULL CHECK (length(branch) <= 255),
    revision     TEXT   CHECK (length(revision) = 40),
    branch_state TEXT   NOT NULL CHECK (branch_state IN ('present', 'gone', 'rewound')),
    rewound_to   TEXT   CHECK (length(rewound_to) = 40),
    cause        TEXT   NOT NULL CHECK (cause IN ('delivery', 'poll', 'person', 'configuration')),
    cause_detail TEXT   CHECK (length(cause_detail) <= 255),
    requested_at BIGINT NOT NULL,
    recorded_at  BIGINT NOT NULL,
    CHECK ((branch_state = 'rewound') = (rewound_to IS NOT NULL)),
    CHECK ((cause IN ('delivery', 'person')) = (cause_detail IS NOT NULL))
);

CREATE TABLE pins (
    host     TEXT   PRIMARY KEY NOT NULL CHECK (length(host) <= 63),
    revision TEXT   NOT NULL CHECK (length(revision) = 40),
    action   TEXT   NOT NULL CHECK (length(action) <= 64),
    branch   TEXT   CHECK (length(branch) <= 255),
    pinned_by TEXT  NOT NULL CHECK (length(pinned_by) <= 255),
    since    BIGINT NOT NULL
);

CREATE TABLE suspensions (
    host         TEXT   PRIMARY KEY NOT NULL CHECK (length(host) <= 63),
    why          TEXT   NOT NULL CHECK (length(why) <= 4096),
    suspended_by TEXT   NOT NULL CHECK (length(suspended_by) <= 255),
    since        BIGINT NOT NULL
);

CREATE TABLE host_memories (
    host     TEXT PRIMARY KEY NOT NULL CHECK (length(host) <= 63),
    document TEXT NOT NULL CHECK (length(document) <= 1048576)
);

-- The deployments in flight; one that has ended is an entry of the history.
CREATE TABLE deployments (
    id           TEXT   PRIMARY KEY NOT NULL CHECK (length(id) BETWEEN 1 AND 64),
    host         TEXT   NOT NULL UNIQUE CHECK (length(host) <= 63),
    revision     TEXT   NOT NULL CHECK (length(revision) = 40),
    toplevel     TEXT   NOT NULL CHECK (length(toplevel) <= 1024),
    old_toplevel TEXT   NOT NULL CHECK (length(old_toplevel) <= 1024),
    action       TEXT   NOT NULL CHECK (length(action) <= 64),
    boot_id      TEXT   NOT NULL CHECK (length(boot_id) <= 64),
    destination  TEXT   NOT NULL CHECK (length(destination) <= 1024),
    started_at   BIGINT NOT NULL,
    why          TEXT   NOT NULL CHECK (length(why) <= 1024)
);

-- AUTOINCREMENT: an id is never used twice, even when the newest entry is gone.
CREATE TABLE history (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         BIGINT NOT NULL,
    host       TEXT   CHECK (length(host) <= 63),
    kind       TEXT   NOT NULL CHECK (length(kind) <= 64),
    revision   TEXT   CHECK (length(revision) = 40),
    toplevel   TEXT   CHECK (length(toplevel) <= 1024),
    action     TEXT   CHECK (length(action) <= 64),
    outcome    TEXT   CHECK (length(outcome) <= 64),
    detail     TEXT   NOT NULL CHECK (length(detail) <= 8192),
    cause      TEXT   CHECK (length(cause) <= 1024),
    deployment TEXT   CHECK (length(deployment) <= 64),
    started_at BIGINT
);
CREATE INDEX history_by_host ON history (host, id);
CREATE INDEX history_by_kind ON history (kind, id);
CREATE INDEX history_by_deployment ON history (deployment);

-- The history is append-only. It shrinks by pruning alone, which says so here, for the time of its own transaction.
CREATE TABLE pruning (
    only_row   BIGINT PRIMARY KEY NOT NULL CHECK (only_row = 1),
    may_delete BIGINT NOT NULL CHECK (may_delete IN (0, 1))
);
INSERT INTO pruning (only_row, may_delete) VALUES (1, 0);

CREATE TRIGGER history_is_never_changed BEFORE UPDATE ON history
BEGIN
    SELECT RAISE(ABORT, 'the history is append-only');
END;

-- INSERT OR REPLACE deletes without the trigger below. The id of an entry that is simply appended is not known yet here:
-- SQLite shows -1 (sqlite3Insert in its insert.c), which no entry has.
CREATE TRIGGER history_is_never_replaced BEFORE INSERT ON history
WHEN EXISTS (SELECT 1 FROM history WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'the history is append-only');
END;

CREATE TRIGGER history_is_deleted_by_pruning_alone BEFORE DELETE ON history
WHEN (SELECT may_delete FROM pruning) = 0
BEGIN
    SELECT RAISE(ABORT, 'the history is append-only');
END;

CREATE TABLE built (
    -- In order of recording, so that the oldest can go.
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    repository TEXT   NOT NULL CHECK (length(repository) <= 255),
    attribute  TEXT   NOT NULL CHECK (length(attribute) <= 255),
    revision   TEXT   NOT NULL CHECK (length(revision) = 40),
    derivation TEXT   NOT NULL CHECK (length(derivation) <= 1024),
    toplevel   TEXT   NOT NULL CHECK (length(toplevel) <= 1024),
    system     TEXT   NOT NULL CHECK (length(system) <= 64),
    built_at   BIGINT,
    UNIQUE (repository, attribute, revision)
);

CREATE TABLE unannounced (
    repository     TEXT   NOT NULL CHECK (length(repository) <= 255),
    repository_key TEXT   NOT NULL CHECK (length(repository_key) <= 255),
    branch         TEXT   NOT NULL CHECK (length(branch) <= 255),
    revision       TEXT   NOT NULL CHECK (length(revision) = 40),
    found_at       BIGINT NOT NULL,
    PRIMARY KEY (repository_key, branch, revision)
);
