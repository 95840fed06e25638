"""What a user may write: the models of a pool and its policies, profiles, loaders, generators."""
