"""A large installation in a private PostgreSQL: its rows, its pages, and how long they take."""
