"""How SQL is written and run: statements, pages, the pool of connections."""
