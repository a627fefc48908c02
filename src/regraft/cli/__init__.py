"""The command line: parse, call, show. One file for each verb; no decisions of its own."""
