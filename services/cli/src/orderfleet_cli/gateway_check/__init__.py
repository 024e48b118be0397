"""The command `gateway check`: call a gateway as the fleet does, name the rules it breaks."""
