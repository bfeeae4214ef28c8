"""Pure types, state machines, errors and ports. Imports no transport, database or model library."""
