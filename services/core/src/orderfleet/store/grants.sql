-- Run after every migration, with {role} quoted: what the fleet's own role may do. It cannot
-- UPDATE or DELETE events: the audit log only grows. Only `forget_order` changes it, as the owner.
GRANT USAGE ON SCHEMA public, gateway TO {role};
GRANT SELECT, INSERT, UPDATE ON orders, payments TO {role};
GRANT SELECT, INSERT ON events TO {role};
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA gateway TO {role};
GRANT SELECT ON schema_migrations, migration_runs TO {role};
GRANT SELECT, INSERT ON compared_servers TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON change_requests TO {role};
GRANT EXECUTE ON FUNCTION forget_order(text) TO {role};
GRANT SELECT, UPDATE ON restores TO {role};
