"""How often somebody may call: sliding windows, counted in the process or in Redis."""
