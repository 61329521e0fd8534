"""The commands of `flask …`: one file for each group."""
