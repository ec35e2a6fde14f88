"""What the administration, which formats for itself, writes."""

DATETIME_FORMAT = "Y-m-d H:i:s T"
