"""The server of the embedded repositories: nodes add and read, and can delete nothing."""
