"""Small versions of the published benchmarks, in their layouts, about stamps that no training picture shows."""
