"""How the fleet uses Temporal: client, payloads, steps, attempts, interceptors."""
