"""Networks as descriptions: counted to the byte without a framework."""
