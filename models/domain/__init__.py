"""The rules, as pure functions of frozen values: no file here does any I/O."""
