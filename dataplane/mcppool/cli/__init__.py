"""The mcppool command."""
