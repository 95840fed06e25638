"""mcppool: one MCP endpoint in front of many replicas of an MCP server.

This package is lazy: importing it loads none of its parts, so that the operator can import `mcppool.spec` alone.
"""

__version__ = "0.1.0"
