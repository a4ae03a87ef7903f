"""What users install and what pytest shows them: sessions of pytest, the README, the wheel, the package's structure."""
