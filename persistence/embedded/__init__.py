"""The PostgreSQL that comes with Docket: its programs, its folder, its process."""
