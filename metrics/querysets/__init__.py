"""SQL: by table, and of snapshots by who needs it; one method for each need."""
