"""The only SQL of the fleet, and the migrations that it runs on."""
