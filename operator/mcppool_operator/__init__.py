"""The control plane: reconciles McpServerPool resources into gateways."""
