"""How staff look at tables in the admin, whatever the tables are about."""
