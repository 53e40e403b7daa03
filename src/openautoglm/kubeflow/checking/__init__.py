"""What can be seen of a pipeline's intermediate representation before a server has it."""
