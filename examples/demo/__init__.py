"""Parts of the example that have nothing to do with mcppool: child processes, callers, output."""
