"""What the tests share; there are no tests in here."""
