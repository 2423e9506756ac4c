-- Which hosts a commit was rolled back on is asked at every look at a host.
CREATE INDEX history_by_revision ON history (revision, outcome);
