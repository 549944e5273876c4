"""Sweeps that job runners call from time to time. They finish abandoned recordings and remove leftovers."""
