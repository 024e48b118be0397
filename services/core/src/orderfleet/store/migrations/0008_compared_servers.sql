-- The servers of Postgres whose orders have been compared with Temporal's, each by its start. Another
-- one has taken over or was restarted, and may have lost the last commits.
CREATE TABLE compared_servers (
    started_at  timestamptz PRIMARY KEY,
    compared_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO compared_servers (started_at) VALUES (pg_postmaster_start_time());
