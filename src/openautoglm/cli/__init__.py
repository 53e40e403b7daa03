"""The command line: arguments in, steps and stores called, a page for people out."""
