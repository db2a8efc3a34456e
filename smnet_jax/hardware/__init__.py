"""Facts about chips and compiled programs: specifications, operations, HLO text, profiler traces."""
