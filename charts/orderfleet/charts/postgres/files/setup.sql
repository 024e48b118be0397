-- Roles and databases of the fleet and of Temporal; again is no change, but for the passwords.
-- psql variables: owner, owner_password, fleet, fleet_password, database, temporal_password.
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY[:'owner', :'fleet', 'temporal']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE :"owner" PASSWORD :'owner_password';
ALTER ROLE :"fleet" PASSWORD :'fleet_password';
ALTER ROLE temporal PASSWORD :'temporal_password';
SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
FROM (
    VALUES (:'database', :'owner'), ('temporal', 'temporal'), ('temporal_visibility', 'temporal')
) AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
