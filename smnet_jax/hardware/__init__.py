"""Facts about chips and compiled programs: peaks, operations, HLO text, profiler traces."""
