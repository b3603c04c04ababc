"""Sending what waits in the database to be sent: mail."""
