"""What the command line asks of Temporal."""
