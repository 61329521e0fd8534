"""The tables: one file each, with the statements that read and write it."""
