"""The last ten minutes of a gateway, in slots of ten seconds."""
