"""The proposal as a list of stages, each cached by the hash of its inputs."""
