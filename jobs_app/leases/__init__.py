"""Claims and leases: which worker may do which unit of work, and for how long."""
