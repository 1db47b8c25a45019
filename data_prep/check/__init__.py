"""The stage `asc data check`: what is wrong with a data set, before anything is prepared."""
