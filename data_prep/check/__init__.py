"""`asc data check`: problems of a data set before it is prepared."""
