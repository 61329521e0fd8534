"""What operators do: erase, rebuild and replay, at a pace that leaves workers free."""
