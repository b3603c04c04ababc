"""HTTP on the wire: connections, how many there are, and bodies that are sent in pieces."""
