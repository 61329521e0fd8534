"""What is well and what is not: for /readyz, for operators, and for the doctor."""
