"""The contract as it is served: its documents, and the pages that show it to people."""
