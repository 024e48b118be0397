-- Roles and databases of the fleet and of Temporal; again is no change, but for the passwords.
-- No password gets into the server's log, whatever that is told to log.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
\getenv superuser_password SUPERUSER_PASSWORD
\getenv owner_password OWNER_PASSWORD
\getenv fleet_password FLEET_PASSWORD
\getenv temporal_password TEMPORAL_PASSWORD
\getenv owner OWNER
\getenv fleet FLEET
\getenv database DATABASE
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY[:'owner', :'fleet', 'temporal']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE postgres PASSWORD :'superuser_password';
ALTER ROLE :"owner" PASSWORD :'owner_password';
ALTER ROLE :"fleet" PASSWORD :'fleet_password';
ALTER ROLE temporal PASSWORD :'temporal_password';
SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
FROM (
    VALUES (:'database', :'owner'), ('temporal', 'temporal'), ('temporal_visibility', 'temporal')
) AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
