"""What is valid and what follows from it: functions and data alone, no extension and no listener."""
