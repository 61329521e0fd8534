"""Tables as files: CSV and XLSX, written a row at a time."""
