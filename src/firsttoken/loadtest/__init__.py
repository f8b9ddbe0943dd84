"""Load tests to decide by: the highest rate that holds, sweeps, and two builds compared."""
