"""Texts of strangers that could break a table: separators, quotes, line breaks, other scripts."""

from __future__ import annotations

NAMES = [
    "أحمد المصري",
    "\u202eevil\u202c \u200fعلي\u200e",
    "Smith, John; Jr",
    "tab\there|pipe",
    'Abu "Bakr"',
    '"',
    "two\nlines",
    "two\r\nlines",
    "old\rMac",
    '=HYPERLINK("http://evil.example","x")',
    "+1+1",
    "-1",
    "@SUM(A1)",
    "https://example.org/x",
    "<r><t>XML</t></r>",
    "<r>& no XML</r>",
    "<b>&amp;</b>",
    "_x0041_",
    "bell\x07",
    "NaN",
    "NULL",
    "#N/A",
    "2026-11-23",
    "👩‍🏫 teacher",
    "(quoted)",
    "  spaces  ",
    "\ufeffmark",
    "\uffff",
]

IDS = ["007", "1e5", "1-2", "1/2", "00", "0x1F", "TRUE", "12345678901234567890", "\u0667", "a,b"]
"""Ids that programs like to take for something else."""
