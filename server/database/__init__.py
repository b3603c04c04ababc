"""The database as operators know it: connections, migrations, drift, backups."""
