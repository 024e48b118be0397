"""L0, the floor: an order that does nothing, with the commands of a real one."""
