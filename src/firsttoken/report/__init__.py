"""One report for people, CI jobs and programs, of a validation or of a load alone."""
