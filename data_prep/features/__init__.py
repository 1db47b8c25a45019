"""Log-mel features: the specification's mel power, compiled or plain."""
