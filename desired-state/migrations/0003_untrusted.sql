-- A branch whose newest commit is not signed as the repository wants it: a fourth state, and why. SQLite changes no CHECK
-- of a table that is there, so the table is made anew; `rewound_to` becomes `branch_at`, for it says the same of both.
CREATE TABLE wishes_with_trust (
    host          TEXT   PRIMARY KEY NOT NULL CHECK (length(host) <= 63),
    repository    TEXT   NOT NULL CHECK (length(repository) <= 255),
    branch        TEXT   NOT NULL CHECK (length(branch) <= 255),
    revision      TEXT   CHECK (length(revision) = 40),
    branch_state  TEXT   NOT NULL CHECK (branch_state IN ('present', 'gone', 'rewound', 'untrusted')),
    branch_at     TEXT   CHECK (length(branch_at) = 40),
    untrusted_why TEXT   CHECK (length(untrusted_why) <= 4096),
    cause         TEXT   NOT NULL CHECK (cause IN ('delivery', 'poll', 'person', 'configuration')),
    cause_detail  TEXT   CHECK (length(cause_detail) <= 255),
    requested_at  BIGINT NOT NULL,
    recorded_at   BIGINT NOT NULL,
    CHECK ((branch_state IN ('rewound', 'untrusted')) = (branch_at IS NOT NULL)),
    CHECK ((branch_state = 'untrusted') = (untrusted_why IS NOT NULL)),
    CHECK ((cause IN ('delivery', 'person')) = (cause_detail IS NOT NULL))
);
INSERT INTO wishes_with_trust (host, repository, branch, revision, branch_state, branch_at, cause, cause_detail, requested_at, recorded_at)
    SELECT host, repository, branch, revision, branch_state, rewound_to, cause, cause_detail, requested_at, recorded_at FROM wishes;
DROP TABLE wishes;
ALTER TABLE wishes_with_trust RENAME TO wishes;
