"""The queries, a module for each topic."""
